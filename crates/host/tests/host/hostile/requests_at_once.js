// attacks: hostCalls
// held: { "limits": { "hostCalls": 4 } }
// wide: {}
// expect: 16 refused
// lifted: 0 refused
//
// Many requests at a time, of which none is awaited.
export default class Hostile {
    constructor({ wallet }) {
        const attack = async () => {
            const all = await Promise.allSettled(Array.from({ length: 20 }, () => wallet.getLayer2State()));
            return `${all.filter((one) => one.reason?.code === -32005).length} refused`;
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack, returns: [{ name: "text", type: "string" }] }], state: [] };
    }
}
