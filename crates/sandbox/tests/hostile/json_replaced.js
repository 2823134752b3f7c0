// attacks: captured JSON
// expect: asks wallet.persist {"key":"a","value":1}; says "clean"
// lifted: asks wallet.persist {"key":"a","value":1}; says "seen"
// glue: wallet
//
// JSON as the script would like it: every message of the glue would pass through it.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            let seen = false;
            const { parse, stringify } = JSON;
            JSON.stringify = (...values) => { seen = true; return stringify(...values); };
            JSON.parse = (...values) => { seen = true; return parse(...values); };
            await wallet.persist("a", 1);
            return seen ? "seen" : "clean";
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
