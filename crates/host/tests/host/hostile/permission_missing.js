// attacks: localDatabase
// held: {}
// wide: { "localDatabase": { "quota": "4 MiB" } }
// expect: 4100
// lifted: done
//
// The database of a solution that was granted none.
export default class Hostile {
    constructor({ wallet }) {
        const attack = async () => {
            try { await wallet.persist("key", 1); return "done"; } catch (error) { return `${error.code}`; }
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack, returns: [{ name: "text", type: "string" }] }], state: [] };
    }
}
