// attacks: cpuBurst
// held: { "limits": { "cpuShare": 5, "cpuBurst": 1000 } }
// wide: { "limits": { "cpuShare": 5, "cpuBurst": 60000 } }
// shows: share
// expect: held back
// lifted: done
//
// As much as may be used at once, and more than that.
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
