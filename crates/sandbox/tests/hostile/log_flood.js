// attacks: log bytes
// expect: says "done"; log cut
// lifted: says "done"
//
// Many short lines.
export default {
    run() {
        for (let i = 0; i < 3000; i++) console.log();
        return "done";
    },
};
