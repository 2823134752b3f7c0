// attacks: native stack
// expect: ended Stack
// lifted: says "RangeError"
//
// An object nested the same way, on its way out.
export default {
    run() {
        let o = {};
        for (let i = 0; i < 150000; i++) o = { o };
        try { return JSON.stringify(o).length; } catch (error) { return error.name; }
    },
};
