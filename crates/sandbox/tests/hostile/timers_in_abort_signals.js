// attacks: timers
// expect: says "RangeError after 20"
// lifted: says "done"
// also: messages per turn
//
// The same behind another interface.
export default {
    run() {
        let n = 0;
        try { while (n < 1000) { AbortSignal.timeout(1e9); n++; } } catch (error) { return `${error.name} after ${n}`; }
        return "done";
    },
};
