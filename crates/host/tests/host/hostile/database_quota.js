// attacks: localDatabase.quota
// held: { "localDatabase": { "quota": "64 KiB" } }
// wide: { "localDatabase": { "quota": "4 MiB" } }
// expect: -32005 65536
// lifted: done
//
// More data than was granted.
export default class Hostile {
    constructor({ wallet }) {
        const attack = async () => {
            try { await wallet.persist("key", "x".repeat(100000)); return "done"; } catch (error) { return `${error.code} ${error.data.quota}`; }
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack, returns: [{ name: "text", type: "string" }] }], state: [] };
    }
}
