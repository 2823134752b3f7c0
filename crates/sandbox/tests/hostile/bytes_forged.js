// attacks: bytes are Uint8Arrays
// expect: asks wallet.persist {"key":"a","value":{"0":300}}; says "done"
// lifted: fails TypeError: not a TypedArray
// glue: wallet
//
// An array of 16-bit numbers passes for bytes if the script is asked what bytes are.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            Object.defineProperty(Uint8Array, Symbol.hasInstance, { value: () => true });
            await wallet.persist("a", new Uint16Array([300]));
            return "done";
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
