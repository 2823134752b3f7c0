// attacks: stack
// expect: says "RangeError"
// lifted: says "done"
//
// Proxies of proxies.
export default {
    run() {
        let p = { x: "done" };
        for (let i = 0; i < 2500; i++) p = new Proxy(p, {});
        try { return p.x; } catch (error) { return error.name; }
    },
};
