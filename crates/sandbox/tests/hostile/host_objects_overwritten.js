// attacks: frozen host objects
// expect: says "TypeError"
// lifted: says "mine"
// glue: wallet
//
// A method of the wallet object is replaced: other code of the script would tell the attacker what it persists.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            try { wallet.persist = () => "mine"; return await wallet.persist(); } catch (error) { return error.name; }
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
