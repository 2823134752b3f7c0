// attacks: turn
// expect: ended Deadline
// lifted: says "done"
//
// A sort whose comparison contradicts itself.
export default {
    run() {
        let n = 0;
        Array.from({ length: 200000 }, (_, i) => -i).sort(() => (n++ & 1) - 0.5);
        return "done";
    },
};
