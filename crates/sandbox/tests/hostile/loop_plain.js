// attacks: turn
// expect: ended Deadline
// lifted: says "done"
//
// A loop that does nothing, for a long time.
export default {
    run() {
        let n = 0;
        while (n < 15e6) n++;
        return "done";
    },
};
