// attacks: memory
// expect: ended Memory
// lifted: says "done"
//
// A map that grows.
export default {
    run() {
        const map = new Map();
        for (let i = 0; i < 300000; i++) map.set(i, [i]);
        return "done";
    },
};
