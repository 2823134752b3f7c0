// attacks: turn
// expect: ended Deadline
// lifted: says "done"
//
// A generator that is drained by a spread: the loop is inside the engine.
export default {
    run() {
        function* numbers() { for (let i = 0; i < 3e6; i++) yield i & 1; }
        let last;
        for (last of numbers());
        return "done";
    },
};
