// attacks: turn
// expect: ended Deadline
// lifted: says "done"
//
// A search through an "array" that is a length only: the loop is in the engine's own C.
export default {
    run() {
        return Array.prototype.indexOf.call({ length: 8e6 }, 1) === -1 ? "done" : "found";
    },
};
