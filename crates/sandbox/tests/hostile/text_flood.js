// attacks: turn
// expect: ended Deadline
// lifted: says "done"
//
// Encoding and decoding in C, which asks nobody.
export default {
    run() {
        const text = "é".repeat(2e5), encoder = new TextEncoder(), decoder = new TextDecoder();
        for (let i = 0; i < 120; i++) decoder.decode(encoder.encode(text));
        return "done";
    },
};
