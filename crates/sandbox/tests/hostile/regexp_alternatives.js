// attacks: turn
// expect: ended Deadline
// lifted: says "done"
//
// The same with alternatives that overlap, through `replace`.
export default {
    run() {
        return "x".repeat(15).replace(/^(x|xx|x+)*y/, "") && "done";
    },
};
