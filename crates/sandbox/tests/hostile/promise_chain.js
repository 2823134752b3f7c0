// attacks: turn
// expect: ended Deadline
// lifted: says "done"
//
// Jobs that make jobs: the turn ends when none is left, and there is always one.
export default {
    run() {
        let n = 0;
        return new Promise((resolve) => {
            const again = () => { if (++n < 4e5) Promise.resolve().then(again); else resolve("done"); };
            again();
        });
    },
};
