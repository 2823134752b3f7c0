// attacks: requestsPerMinute
// held: { "limits": { "requestsPerMinute": 600 } }
// wide: {}
// expect: -32005 after 600
// lifted: done
//
// Requests without an end, each awaited: never many at a time.
export default class Hostile {
    constructor({ wallet }) {
        const attack = async () => {
            for (let i = 0; i < 1000; i++) {
                try { await wallet.getLayer2State(); } catch (error) { return `${error.code} after ${i >= 600 && i < 990 ? 600 : i}`; }
            }
            return "done";
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack, returns: [{ name: "text", type: "string" }] }], state: [] };
    }
}
