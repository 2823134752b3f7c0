// attacks: cpuShare
// held: { "limits": { "cpuShare": 5, "cpuBurst": 1000 } }
// wide: { "limits": { "cpuShare": 100, "cpuBurst": 1000 } }
// shows: share
// expect: held back
// lifted: done
//
// Short turns without an end: none breaks a limit.
export default class Hostile {
    constructor() {
        const attack = async () => {
            for (let i = 0; i < 250; i++) {
                for (let n = 0; n < 1e6; n++);
                await new Promise((yes) => setTimeout(yes, 0));
            }
            return "done";
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack, returns: [{ name: "text", type: "string" }] }], state: [] };
    }
}
