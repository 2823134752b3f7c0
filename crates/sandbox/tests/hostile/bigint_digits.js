// attacks: turn
// expect: ended Deadline
// lifted: says "done"
//
// Decimal digits of a large number: quadratic, in one call.
export default {
    run() {
        return ((1n << 500000n) + 1n).toString().length > 1000 ? "done" : "";
    },
};
