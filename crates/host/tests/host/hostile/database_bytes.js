// attacks: databaseBytesPerMinute
// held: { "localDatabase": { "quota": "4 MiB" }, "limits": { "databaseBytesPerMinute": "1 MiB" } }
// wide: { "localDatabase": { "quota": "4 MiB" } }
// expect: -32005 databaseBytesPerMinute
// lifted: done
//
// Large writes of the same key, over and over.
export default class Hostile {
    constructor({ wallet }) {
        const attack = async () => {
            for (let i = 0; i < 6; i++) {
                try { await wallet.persist("key", "x".repeat(300000)); } catch (error) { return `${error.code} ${error.data.limit}`; }
            }
            return "done";
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack, returns: [{ name: "text", type: "string" }] }], state: [] };
    }
}
