// attacks: stack
// expect: says "RangeError"
// lifted: says "done"
//
// Recursion through a callback of the engine.
export default {
    run() {
        let depth = 0;
        const down = () => "x".replace(/x/, () => (++depth < 300 ? down() : "y"));
        try { down(); } catch (error) { return error.name; }
        return "done";
    },
};
