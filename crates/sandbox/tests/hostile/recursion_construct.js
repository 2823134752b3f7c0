// attacks: stack
// expect: says "RangeError"
// lifted: says "done"
//
// Recursion through constructors of derived classes.
export default {
    run() {
        let depth = 0;
        class A { constructor() { if (++depth < 500) new B(); } }
        class B extends A {}
        try { new B(); } catch (error) { return error.name; }
        return "done";
    },
};
