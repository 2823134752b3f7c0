// attacks: properties are defined, not set
// expect: says [false,true]
// lifted: says [true,false]
// glue: wallet
//
// A caller names a parameter `__proto__`.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            return [params.admin === true, Object.hasOwn(params, "__proto__")];
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
