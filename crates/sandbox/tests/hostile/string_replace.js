// attacks: turn
// expect: ended Deadline
// lifted: says "done"
//
// A replacement with a callback for each of a million characters.
export default {
    run() {
        return "a".repeat(4e5).replace(/a/g, () => "b").length === 4e5 ? "done" : "";
    },
};
