// attacks: turn
// expect: ended Deadline
// lifted: says "done"
//
// structuredClone of something wide, for ever.
export default {
    run() {
        let all = Array.from({ length: 5000 }, (_, i) => ({ i }));
        for (let i = 0; i < 6; i++) all = structuredClone(all);
        return "done";
    },
};
