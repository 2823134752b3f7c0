// attacks: values are rebuilt
// expect: asks wallet.persist {"key":"a","value":{"honest":1}}; says "done"
// lifted: asks wallet.persist {"key":"a","value":{"$n":"x"}}; says "done"
// glue: wallet
//
// `toJSON` that says something else than the value: a number that is none.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            const value = { honest: 1 };
            Object.defineProperty(value, "toJSON", { value: () => ({ $n: "x" }) });
            await wallet.persist("a", value);
            return "done";
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
