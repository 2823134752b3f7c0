// attacks: 64 levels
// expect: says "TypeError"
// lifted: asks wallet.persist 1021 characters; says "done"
// glue: wallet
//
// A value nested deeper than anything needs, and one that contains itself.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            let value = 1;
            for (let i = 0; i < 100; i++) value = { value };
            try { await wallet.persist("a", value); return "done"; } catch (error) { return error.name; }
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
