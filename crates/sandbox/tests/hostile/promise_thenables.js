// attacks: turn
// expect: ended Deadline
// lifted: says "done"
//
// Two thenables that resolve to each other.
export default {
    run() {
        let n = 0;
        const one = { then(yes) { yes(++n < 2e5 ? other : "done"); } };
        const other = { then(yes) { yes(one); } };
        return one;
    },
};
