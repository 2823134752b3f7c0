// attacks: turn
// expect: ended Deadline
// lifted: says "done"
//
// The stop cannot be caught, and `finally` does not bring the loop back.
export default {
    run() {
        for (let n = 0; n < 8e6; ) {
            try { for (;;) if (++n % 1000 === 0) throw n; } catch { continue; } finally { if (n < 8e6) continue; }
        }
        return "done";
    },
};
