// attacks: no second clock
// expect: says "undefined"
// lifted: says "function"
//
// The clock that browsers made coarse after the first attacks by timing.
export default {
    run() {
        return typeof globalThis.performance?.now;
    },
};
