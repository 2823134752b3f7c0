// attacks: stacks are text
// expect: says "nothing"
// lifted: says "a function"
//
// Call sites would hand out the functions of the glue that is calling.
export default {
    run() {
        let got = "nothing";
        try { Error.prepareStackTrace = (error, sites) => { got = `a ${typeof sites[0].getFunction}`; return ""; }; } catch {}
        try { null.x; } catch (error) { error.stack; }
        return got;
    },
};
