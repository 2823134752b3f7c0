// attacks: errors are read with care
// expect: fails the plugin threw something that is no error
// lifted: fails the plugin failed with an error that is too large to be told
// glue: wallet
//
// Something is thrown that throws when it is looked at.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            const trap = () => { throw 1; };
            throw new Proxy({}, { get: trap, getPrototypeOf: trap, ownKeys: trap });
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
