// attacks: stack
// expect: says "RangeError"
// lifted: says "done"
//
// Recursion without end is an error that can be caught.
export default {
    run() {
        let depth = 0;
        const down = () => { if (++depth < 600) down(); };
        try { down(); } catch (error) { return error.name; }
        return "done";
    },
};
