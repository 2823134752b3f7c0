// attacks: sealed crypto
// expect: says "TypeError"
// lifted: says "mine"
//
// Nor does crypto, to which the wallet's glue has added before.
export default {
    run() {
        try { crypto.getRandomValues = () => "mine"; return crypto.getRandomValues(); } catch (error) { return error.name; }
    },
};
