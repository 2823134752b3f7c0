// attacks: values are rebuilt
// expect: asks wallet.persist {"key":"a","value":{"a":[1,2]}}; says "ownKeys get"
// lifted: asks wallet.persist {"key":"a","value":{"a":[1,2]}}; says "strange toJSON get ownKeys"
// glue: wallet
//
// A proxy on everything that is passed: it sees reads of its own properties, in one order, and nothing of the wallet.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            const seen = new Set();
            const wrap = (target) => new Proxy(target, {
                get(t, key) { if (typeof key === "string" && !/^(a|length|[0-9]+)$/.test(key)) seen.add("strange " + key); seen.add("get"); return t[key]; },
                ownKeys(t) { seen.add("ownKeys"); return Reflect.ownKeys(t); },
            });
            await wallet.persist("a", wrap({ a: wrap([1, 2]) }));
            return [...seen].join(" ");
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
