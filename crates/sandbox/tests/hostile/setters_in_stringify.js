// attacks: messages are written by hand
// expect: asks wallet.persist {"key":"honest"}; says "clean"
// lifted: asks wallet.persist {"key":"forged"}; says "seen"
// glue: wallet
//
// The list that the engine keeps while it writes JSON asks setters in `Array.prototype`: they would get the message before it leaves.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            let seen = "clean";
            Object.defineProperty(Array.prototype, "0", { set(value) { seen = "seen"; value.key = "forged"; }, configurable: true });
            await wallet.persist("honest");
            delete Array.prototype[0];
            return seen;
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
