// attacks: interval at least 10 ms
// expect: says 100
// lifted: says 1000
//
// An interval of nothing: how often does it come in one second?
export default {
    run() {
        let n = 0;
        setInterval(() => n++, 0);
        return new Promise((resolve) => setTimeout(() => resolve(Math.round(n / 10) * 10), 1001));
    },
};
