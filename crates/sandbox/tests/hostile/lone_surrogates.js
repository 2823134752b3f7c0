// attacks: texts are well formed
// expect: asks wallet.persist {"key":"a","value":"�"}; says "�"
// lifted: no JSON: {"t":"request","id":1,"method":"wallet.persist","params":{"key":"a","value":"\ud800"}}; no answer
// glue: wallet
//
// Half a character: JSON for the engine, none for the host.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            await wallet.persist("a", "\ud800");
            return "\ud800";
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
