// attacks: native stack
// expect: ended Stack
// lifted: says "RangeError"
//
// JSON nested so deeply that its parser runs out of the native stack.
export default {
    run() {
        try { JSON.parse("[".repeat(150000)); } catch (error) { return error.name; }
    },
};
