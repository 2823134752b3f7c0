// attacks: console never throws
// expect: says "survived"
// lifted: says "Error: gotcha"
//
// Values that throw when they are looked at.
export default {
    run() {
        const trap = () => { throw new Error("gotcha"); };
        const proxy = new Proxy({}, { ownKeys: trap, get: trap, getPrototypeOf: trap });
        try { console.log(proxy, { get x() { throw new Error("gotcha"); } }); return "survived"; } catch (error) { return `${error}`; }
    },
};
