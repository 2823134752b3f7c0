// attacks: randomness of the host
// expect: says "done"; randomness
// lifted: says "done"
//
// Math.random of an engine can be computed from a few of its answers, and its seed is the time.
export default {
    run() {
        const all = [];
        for (let i = 0; i < 100; i++) all.push(Math.random());
        return new Set(all).size === 100 ? "done" : "repeats";
    },
};
