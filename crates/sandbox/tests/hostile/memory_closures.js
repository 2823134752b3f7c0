// attacks: memory
// expect: ended Memory
// lifted: says "done"
//
// Functions that hold on to one another.
export default {
    run() {
        let f = () => 0;
        for (let i = 0; i < 400000; i++) { const g = f; f = () => g; }
        return "done";
    },
};
