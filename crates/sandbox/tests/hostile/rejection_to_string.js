// attacks: turn
// expect: ended Deadline
// lifted: says "done"; uncaught "slow"
//
// `toString` that does not come back while an unhandled rejection is reported.
export default {
    run() {
        Promise.reject({ toString() { for (let n = 0; n < 15e6; n++); return "slow"; } });
        return "done";
    },
};
