// attacks: message size
// expect: fails the plugin failed with an error that is too large to be told
// lifted: fails 300000 characters
// glue: wallet
//
// The same with the text of an error.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            throw new Error("x".repeat(300000));
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
