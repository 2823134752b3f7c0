// attacks: log bytes
// expect: says "done"; log cut
// lifted: says "done"; 500 uncaught
//
// Reports of errors that nobody caught count as well.
export default {
    run() {
        for (let i = 0; i < 500; i++) Promise.reject(new Error("r" + i));
        return "done";
    },
};
