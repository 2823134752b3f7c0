// attacks: memory
// expect: ended Memory
// lifted: says "done"
//
// Small objects that are all kept.
export default {
    run() {
        let list = null;
        for (let i = 0; i < 500000; i++) list = { list };
        return "done";
    },
};
