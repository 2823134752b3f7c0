// attacks: clock step
// expect: says 1
// lifted: says 10
//
// The same through the constructor, and through text.
export default {
    run() {
        const digits = new Set();
        for (let i = 0; i < 100; i++) { digits.add(new Date().getTime() % 10); digits.add(+new Date().toISOString().slice(22, 23)); }
        return digits.size;
    },
};
