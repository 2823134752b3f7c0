// attacks: turnTime
// held: { "limits": { "turnTime": 100 } }
// wide: { "limits": { "turnTime": 30000 } }
// expect: stopped
// lifted: done
//
// A turn that does not end: the plugin is stopped and starts again, the wallet goes on.
export default class Hostile {
    constructor({ wallet }) {
        const attack = async () => {
            for (let n = 0; n < 2e7; n++);
            return "done";
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack, returns: [{ name: "text", type: "string" }] }], state: [] };
    }
}
