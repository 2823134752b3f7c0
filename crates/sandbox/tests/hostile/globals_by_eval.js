// attacks: only the documented globals
// expect: says ["undefined","undefined"]
// lifted: says ["object","object"]
//
// Code made from text sees the global scope and nothing of the glue's.
export default {
    run() {
        return [(0, eval)("typeof boundary"), console.log.constructor("return typeof boundary")()];
    },
};
