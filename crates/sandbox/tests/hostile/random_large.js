// attacks: 64 KiB of randomness at once
// expect: says "QuotaExceededError"; randomness
// lifted: says "done"; randomness
//
// A request for as much randomness as there is memory.
export default {
    run() {
        crypto.getRandomValues(new Uint8Array(65536));
        try { crypto.getRandomValues(new Uint8Array(65537)); return "done"; } catch (error) { return error.name; }
    },
};
