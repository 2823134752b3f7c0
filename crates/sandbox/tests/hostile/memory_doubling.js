// attacks: memory
// expect: says "InternalError"
// lifted: says "done"
//
// A string that doubles.
export default {
    run() {
        let text = "0123456789abcdef";
        try { while (text.length < 1 << 25) text = (text + text).replace("0", "z"); } catch (error) { return error.name; }
        return "done";
    },
};
