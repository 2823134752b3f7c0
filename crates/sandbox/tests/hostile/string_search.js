// attacks: turn
// expect: ended Deadline
// lifted: says "done"
//
// Searches through a long string, each a single call.
export default {
    run() {
        const text = "a".repeat(4e6);
        for (let i = 0; i < 10; i++) text.indexOf("ab");
        return "done";
    },
};
