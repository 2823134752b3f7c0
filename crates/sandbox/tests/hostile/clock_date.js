// attacks: clock step
// expect: says 1
// lifted: says 10
//
// How many last digits has the clock?
export default {
    run() {
        const digits = new Set();
        for (let i = 0; i < 200; i++) digits.add(Date.now() % 10);
        return digits.size;
    },
};
