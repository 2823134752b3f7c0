// attacks: turn
// expect: ended Deadline
// lifted: says "done"
//
// One operator that takes seconds.
export default {
    run() {
        return 3n ** 600000n > 0n ? "done" : "";
    },
};
