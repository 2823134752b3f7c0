// attacks: message size
// expect: says "RangeError"
// lifted: asks wallet.persist 300024 characters; says "done"
// glue: wallet
//
// A request that is too large: the script can catch it.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            try { await wallet.persist("key", "x".repeat(300000)); } catch (error) { return error.name; }
            return "done";
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
