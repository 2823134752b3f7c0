// attacks: message size
// expect: says "refused"
// lifted: says "done"
//
// The payload of a call that is answered at once.
export default {
    run() {
        try { new URL("http://a.example/" + "x".repeat(300000)); } catch { return "refused"; }
        return "done";
    },
};
