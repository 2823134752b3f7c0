// attacks: turn
// expect: ended Deadline
// lifted: says "done"
//
// Squares of a large number, each a single operation of the engine.
export default {
    run() {
        let x = 3n;
        for (let i = 0; i < 40; i++) x = (x * x + 1n) % ((1n << 60000n) - 1n);
        return x > 0n ? "done" : "";
    },
};
