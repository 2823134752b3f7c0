// attacks: another solution's keys
// held: { "keys": { "curve": "secp256k1", "export": true } }
// wide: { "keys": { "curve": "secp256k1", "export": true } }
// beside: itself
// takes: planted
// expect: false
// lifted: true
//
// The secret that another solution derives by the same label. Lifted: in the solution whose it is.
export default class Hostile {
    constructor({ wallet }) {
        const text = (secret) => Array.from(secret, (byte) => byte.toString(16).padStart(2, "0")).join("");
        const plant = async () => text(await wallet.getSecret("the same label"));
        const attack = async ({ planted }) => `${text(await wallet.getSecret("the same label")) === planted}`;
        const returns = [{ name: "text", type: "string" }], params = [{ name: "planted", type: "string" }];
        this.layer2Interface = { actions: [{ name: "attack", call: attack, params, returns }, { name: "plant", call: plant, returns }], state: [] };
    }
}
