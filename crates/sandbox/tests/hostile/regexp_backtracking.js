// attacks: turn
// expect: ended Deadline
// lifted: says "done"
//
// Exponential backtracking: the matcher polls nothing of the script's.
export default {
    run() {
        return /^(a+)+$/.test("a".repeat(25) + "b") ? "matched" : "done";
    },
};
