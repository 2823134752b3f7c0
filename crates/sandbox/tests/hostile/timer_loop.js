// attacks: turn
// expect: ended Deadline
// lifted: says "done"
//
// The same in the callback of a timer.
export default {
    run() {
        return new Promise((resolve) => setTimeout(() => {
            for (let n = 0; n < 15e6; n++);
            resolve("done");
        }, 5));
    },
};
