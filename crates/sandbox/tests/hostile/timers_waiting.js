// attacks: timers
// expect: says "RangeError after 20"
// lifted: says "done"
// also: messages per turn
//
// Timers that all wait.
export default {
    run() {
        let n = 0;
        try { while (n < 1000) { setTimeout(() => {}, 1e9); n++; } } catch (error) { return `${error.name} after ${n}`; }
        return "done";
    },
};
