// attacks: message size
// expect: fails RangeError: the message of 300027 bytes is larger than the host takes
// lifted: says 300002 characters
// glue: wallet
//
// An answer that is too large. The caller is told, and does not wait for ever.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            return "x".repeat(300000);
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
