// attacks: memory
// expect: says "InternalError"
// lifted: says "done"
//
// Numbers of 125 KB.
export default {
    run() {
        const all = [];
        try { for (let i = 0n; i < 300n; i++) all.push((1n << 1000000n) + i); return "done"; } catch (error) { return error.name; }
    },
};
