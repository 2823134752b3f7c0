// attacks: networkBytesPerMinute
// held: { "network": ["$networkUrl"], "limits": { "networkBytesPerMinute": "1 MiB" } }
// wide: { "network": ["$networkUrl"] }
// expect: -32005 networkBytesPerMinute
// lifted: done
//
// Large messages to a node, over and over.
export default class Hostile {
    constructor({ network }) {
        const attack = async () => {
            const connection = await network.connect(network.urls[0]);
            for (let i = 0; i < 8; i++) {
                try { await connection.send("x".repeat(300000)); } catch (error) { return `${error.code} ${error.data.limit}`; }
            }
            return "done";
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack, returns: [{ name: "text", type: "string" }] }], state: [] };
    }
}
