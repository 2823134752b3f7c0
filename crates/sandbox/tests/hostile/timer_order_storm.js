// attacks: messages per turn
// expect: ended TooManyMessages
// lifted: says "done"
//
// Timers that are set and cleared: few wait, and each is work for the wallet.
export default {
    run() {
        for (let i = 0; i < 300; i++) clearTimeout(setTimeout(() => {}));
        return "done";
    },
};
