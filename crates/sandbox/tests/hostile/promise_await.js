// attacks: turn
// expect: ended Deadline
// lifted: says "done"
//
// `await` for ever, without anything to wait for.
export default {
    async run() {
        for (let i = 0; i < 4e5; i++) await null;
        return "done";
    },
};
