// attacks: memory
// expect: says "SyntaxError"
// lifted: says "done"
//
// A pattern that compiles into a program longer than itself.
export default {
    run() {
        try { return new RegExp("a".repeat(5e6)).test("a") ? "" : "done"; } catch (error) { return error.name; }
    },
};
