// attacks: only data crosses
// expect: says ["TypeError","TypeError","TypeError"]
// lifted: asks wallet.persist {"key":"a","value":"Symbol(x)"}; asks wallet.persist {"key":"a","value":"() => 1"}; says ["passed","passed","TypeError"]
// glue: wallet
//
// Values that have no form on the wire.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            const failed = [];
            for (const value of [Symbol("x"), () => 1, NaN]) { try { await wallet.persist("a", value); failed.push("passed"); } catch (error) { failed.push(error.name); } }
            return failed;
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
