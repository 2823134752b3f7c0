// attacks: connections
// held: { "network": ["$networkUrl"], "limits": { "connections": 2 } }
// wide: { "network": ["$networkUrl"] }
// expect: -32005 after 2
// lifted: done
//
// Connections that are opened and never closed.
export default class Hostile {
    constructor({ network }) {
        const attack = async () => {
            for (let i = 0; i < 6; i++) {
                try { await network.connect(network.urls[0]); } catch (error) { return `${error.code} after ${i}`; }
            }
            return "done";
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack, returns: [{ name: "text", type: "string" }] }], state: [] };
    }
}
