// attacks: captured maps
// expect: asks wallet.getAccount {"index":0}; says "clean"
// lifted: asks wallet.getAccount {"index":0}; says "seen"
// glue: wallet
//
// The list of requests under way is a Map: whoever has its methods can answer in the wallet's name.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            const set = Map.prototype.set;
            let seen = "clean";
            Map.prototype.set = function (key, value) { if (value?.yes) seen = "seen"; return Reflect.apply(set, this, [key, value]); };
            await wallet.getAccount(0);
            return seen;
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
