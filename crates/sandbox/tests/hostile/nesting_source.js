// attacks: native stack
// expect: ended Stack
// lifted: says "RangeError"
//
// Source nested the same way.
export default {
    run() {
        try { new Function("return " + "[".repeat(60000)); } catch (error) { return error.name; }
    },
};
