// attacks: log bytes
// expect: says "done"; log cut
// lifted: says "done"
//
// One long line, and one more.
export default {
    run() {
        console.error("x".repeat(200000));
        console.log("one more");
        return "done";
    },
};
