// attacks: turn
// expect: ended Deadline
// lifted: says "done"
//
// `toJSON` that does not come back while the glue writes the answer down.
export default {
    run() {
        return { toJSON() { for (let n = 0; n < 15e6; n++); return "done"; } };
    },
};
