// attacks: values are rebuilt
// expect: asks wallet.persist {"key":"a","value":{"$$b":"0xzz"}}; says "done"
// lifted: asks wallet.persist {"key":"a","value":{"$b":"0xzz"}}; says "done"
// glue: wallet
//
// An object that looks like the wire form of bytes.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            await wallet.persist("a", { $b: "0xzz" });
            return "done";
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
