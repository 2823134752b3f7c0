// attacks: console shows 50 items
// expect: says "done"
// lifted: says "done"; log cut
//
// An array with a million entries.
export default {
    run() {
        console.log(new Array(50000).fill(7));
        return "done";
    },
};
