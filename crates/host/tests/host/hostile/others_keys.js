// attacks: another solution's keys
// held: { "keys": { "curve": "secp256k1" }, "localDatabase": { "quota": "64 KiB" } }
// wide: { "keys": { "curve": "secp256k1" }, "localDatabase": { "quota": "64 KiB" } }
// beside: itself
// takes: planted
// expect: false
// lifted: true
//
// The account that another solution signs with, by its index and by indices that would lead out of one's own. Lifted: in
// the solution whose it is.
export default class Hostile {
    constructor({ wallet }) {
        const plant = async () => (await wallet.getAccount(0)).address;
        const attack = async ({ planted }) => {
            let found = false;
            for (const index of [0, 1, 2, -1, "../0", 2 ** 31, 2 ** 32, "0'/0", null]) {
                try { found ||= (await wallet.getAccount(index)).address === planted; } catch { /* no account at all */ }
            }
            return `${found}`;
        };
        const returns = [{ name: "text", type: "string" }], params = [{ name: "planted", type: "string" }];
        this.layer2Interface = { actions: [{ name: "attack", call: attack, params, returns }, { name: "plant", call: plant, returns }], state: [] };
    }
}
