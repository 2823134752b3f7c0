// attacks: stack
// expect: says "RangeError"
// lifted: says "done"
//
// Recursion through the comparison of a sort.
export default {
    run() {
        let depth = 0;
        const down = () => [1, 2].sort(() => (++depth < 300 ? (down(), 0) : 0));
        try { down(); } catch (error) { return error.name; }
        return "done";
    },
};
