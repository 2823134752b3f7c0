// attacks: databaseWritesPerMinute
// held: { "localDatabase": { "quota": "4 MiB" }, "limits": { "databaseWritesPerMinute": 60 } }
// wide: { "localDatabase": { "quota": "4 MiB" } }
// expect: -32005 databaseWritesPerMinute
// lifted: done
//
// Small writes: the quota never sees them, the disk does.
export default class Hostile {
    constructor({ wallet }) {
        const attack = async () => {
            for (let i = 0; i < 150; i++) {
                try { await wallet.persist("key", i); } catch (error) { return `${error.code} ${error.data.limit}`; }
            }
            return "done";
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack, returns: [{ name: "text", type: "string" }] }], state: [] };
    }
}
