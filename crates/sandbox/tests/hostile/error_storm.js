// attacks: turn
// expect: ended Deadline
// lifted: says "done"
//
// Errors from deep inside: each takes down its stack.
export default {
    run() {
        const deep = (n) => (n ? deep(n - 1) : new Error("deep").stack.length);
        let sum = 0;
        for (let i = 0; i < 40000; i++) sum += deep(100);
        return sum > 0 ? "done" : "";
    },
};
