// attacks: stack
// expect: says "RangeError"
// lifted: says "done"
//
// Functions bound to functions.
export default {
    run() {
        let f = () => "done";
        for (let i = 0; i < 600; i++) { delete f.name; f = f.bind(null); }
        try { return f(); } catch (error) { return error.name; }
    },
};
