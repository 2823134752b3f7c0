// attacks: memory
// expect: says "InternalError"
// lifted: says "done"
//
// An array of a length.
export default {
    run() {
        try { return new Array(3e6).fill(0).length === 3e6 ? "done" : ""; } catch (error) { return error.name; }
    },
};
