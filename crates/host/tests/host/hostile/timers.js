// attacks: timers
// held: { "limits": { "timers": 16 } }
// wide: {}
// expect: RangeError after 16
// lifted: done
//
// Timers that all wait.
export default class Hostile {
    constructor({ wallet }) {
        const attack = async () => {
            let n = 0;
            try { while (n < 200) { setTimeout(() => {}, 1e9); n++; } } catch (error) { return `${error.name} after ${n}`; }
            return "done";
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack, returns: [{ name: "text", type: "string" }] }], state: [] };
    }
}
