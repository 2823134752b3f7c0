// attacks: turn
// expect: ended Deadline
// lifted: says "done"
//
// Work given to the host, again and again: its time counts as the script's.
export default {
    run() {
        for (let i = 0; i < 40000; i++) new URL("http://a.example/" + i);
        return "done";
    },
};
