// attacks: memory
// expect: fails InternalError: out of memory
// lifted: says "done"
//
// A line for the console that is larger than everything.
export default {
    run() {
        const wide = "x".repeat(1 << 20);
        console.log(...Array.from({ length: 30 }, (_, i) => wide + i));
        return "done";
    },
};
