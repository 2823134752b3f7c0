// attacks: stack
// expect: says "SyntaxError"
// lifted: says "done"
//
// A pattern nested more deeply than its compiler has stack for.
export default {
    run() {
        try { return new RegExp("(?:".repeat(3000) + ")".repeat(3000)).test("") ? "done" : ""; } catch (error) { return error.name; }
    },
};
