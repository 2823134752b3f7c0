// attacks: console shows 4 levels
// expect: says "done"
// lifted: says "done"; log cut
//
// An object that doubles with each level.
export default {
    run() {
        let o = { a: "leaf" };
        for (let i = 0; i < 13; i++) o = { o, p: { o } };
        console.log(o);
        return "done";
    },
};
