// attacks: connections
// held: { "network": ["$networkUrl"], "limits": { "connections": 2 } }
// wide: { "network": ["$networkUrl"] }
// expect: 2 open
// lifted: 6 open
//
// The same at once: all are asked for before the first is there.
export default class Hostile {
    constructor({ network }) {
        const attack = async () => {
            const all = await Promise.allSettled(Array.from({ length: 6 }, () => network.connect(network.urls[0])));
            return `${all.filter((one) => one.status === "fulfilled").length} open`;
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack, returns: [{ name: "text", type: "string" }] }], state: [] };
    }
}
