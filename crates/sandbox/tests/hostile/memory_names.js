// attacks: memory
// expect: fails InternalError: out of memory
// lifted: says "done"
//
// Names of properties, which the engine keeps in a table of its own.
export default {
    run() {
        const object = {};
        for (let i = 0; i < 300000; i++) object["name" + i] = i;
        return "done";
    },
};
