// attacks: errors carry text
// expect: asks wallet.confirmRestored {}; says "string"
// lifted: asks wallet.confirmRestored {}; says "object"
// glue: wallet
//
// The error of a refused request is made by the glue: nothing but text hangs on it.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            try { await wallet.confirmRestored(); return "no error"; } catch (error) { return typeof error.waiting === "undefined" ? typeof error.message : "object"; }
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
