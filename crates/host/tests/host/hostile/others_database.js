// attacks: another solution's database
// held: { "localDatabase": { "quota": "64 KiB" } }
// wide: { "localDatabase": { "quota": "64 KiB" } }
// beside: itself
// expect: [] none
// lifted: ["planted"] secret
//
// Keys of whoever else runs the same script, by every name they may have. Lifted: in the solution whose they are.
export default class Hostile {
    constructor({ wallet, solution }) {
        const plant = async () => { await wallet.persist("planted", "secret"); return "done"; };
        const attack = async () => {
            const found = await wallet.listLocalDb("");
            let value = "none";
            for (const key of ["planted", "../planted", "1/planted", "beside/planted", "1:planted", "\u0000planted", "%planted"]) {
                try { value = (await wallet.getFromLocalDb(key)) ?? value; } catch { /* no key at all */ }
            }
            return `${JSON.stringify(found)} ${value}`;
        };
        const returns = [{ name: "text", type: "string" }];
        this.layer2Interface = { actions: [{ name: "attack", call: attack, returns }, { name: "plant", call: plant, returns }], state: [] };
    }
}
