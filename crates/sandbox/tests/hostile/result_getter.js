// attacks: turn
// expect: ended Deadline
// lifted: says {"x":"done"}
//
// A getter that does not come back, on the answer itself.
export default {
    run() {
        return { get x() { for (let n = 0; n < 15e6; n++); return "done"; } };
    },
};
