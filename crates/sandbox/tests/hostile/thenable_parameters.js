// attacks: values are rebuilt
// expect: asks wallet.persist {"key":"a","value":{}}; says "not called"
// lifted: asks wallet.persist {"key":"a","value":{}}; says "called"
// glue: wallet
//
// A value with a `then`, and functions and symbols where data should be.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            let called = "not called";
            const value = {};
            Object.defineProperty(value, "then", { value: () => { called = "called"; } });
            Object.defineProperty(value, "toJSON", { value: () => { called = "called"; return {}; } });
            await wallet.persist("a", value);
            return called;
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
