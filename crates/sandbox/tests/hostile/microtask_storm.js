// attacks: turn
// expect: ended Deadline
// lifted: says "done"
//
// A microtask that queues itself.
export default {
    run() {
        let n = 0;
        return new Promise((resolve) => queueMicrotask(function again() { if (++n < 4e6) queueMicrotask(again); else resolve("done"); }));
    },
};
