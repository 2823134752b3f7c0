// attacks: descriptors without a prototype
// expect: asks wallet.persist {"key":"a","value":{"b":1}}; says "clean"
// lifted: asks wallet.persist {"key":"a","value":{"b":1}}; no answer; uncaught "TypeError: Invalid property descriptor. Cannot both specify accessors and a value or writable attribute"
// glue: wallet
//
// `Object.prototype.get` makes every careless property descriptor one that has both a getter and a value.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            Object.prototype.get = () => "stolen";
            let result = "clean";
            try { await wallet.persist("a", { b: 1 }); } catch (error) { result = error.name; }
            delete Object.prototype.get;
            return result;
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
