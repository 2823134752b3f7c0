// attacks: turn
// expect: ended Deadline; randomness
// lifted: says "done"; randomness
//
// Randomness of the host, as much as can be had: its time counts as the script's.
export default {
    run() {
        const all = new Uint8Array(65536);
        for (let i = 0; i < 15000; i++) crypto.getRandomValues(all);
        return "done";
    },
};
