// attacks: turn
// expect: ended Deadline
// lifted: says "done"
//
// A trap that lies so that the engine asks again and again.
export default {
    run() {
        let n = 0;
        const proxy = new Proxy({}, { has: () => ++n < 3e6 });
        while ("x" in proxy);
        return "done";
    },
};
