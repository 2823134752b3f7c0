// attacks: logPerMinute
// held: { "limits": { "logPerMinute": "64 KiB" } }
// wide: { "limits": { "logPerMinute": "16 MiB" } }
// logs: 120
// expect: done; not all of them kept
// lifted: done; all of them kept
//
// Log lines, few in each turn and turn after turn.
export default class Hostile {
    constructor() {
        const attack = async () => {
            for (let i = 0; i < 120; i++) {
                console.log("flood", i, "x".repeat(1000));
                await new Promise((yes) => setTimeout(yes, 0));
            }
            return "done";
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack, returns: [{ name: "text", type: "string" }] }], state: [] };
    }
}
