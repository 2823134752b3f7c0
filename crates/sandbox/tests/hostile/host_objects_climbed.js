// attacks: frozen host objects
// expect: says ["undefined","undefined","undefined","undefined"]
// lifted: says ["function","function","function","function"]
// glue: wallet
//
// From a host object to its prototype, and to the constructor of everything.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            return [wallet, layer1, network, crypto.eth].map((object) => typeof object.constructor);
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
