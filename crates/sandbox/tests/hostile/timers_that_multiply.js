// attacks: timers
// expect: says "RangeError"
// lifted: says "1024"
//
// Each timer starts two.
export default {
    run() {
        let n = 0;
        return new Promise((resolve) => {
            const more = () => {
                try { if (++n >= 1024) return resolve(`${n}`); setTimeout(more, 1); setTimeout(more, 1); } catch (error) { resolve(error.name); }
            };
            more();
        });
    },
};
