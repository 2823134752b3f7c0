// attacks: values are read once
// expect: asks wallet.persist {"key":"a","value":{"v":1}}; says 1
// lifted: asks wallet.persist {"key":"a","value":{"v":2}}; says 2
// glue: wallet
//
// A getter with another answer each time: what was checked would not be what is sent.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            let n = 0;
            await wallet.persist("a", { get v() { return ++n; } });
            return n;
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
