// attacks: properties are defined, not set
// expect: asks wallet.batchLocalDb {"ops":[{"delete":"a"}]}; says "clean"
// lifted: asks wallet.batchLocalDb {"ops":[{"delete":"a"}]}; says "seen"
// glue: wallet
//
// Setters in the prototypes of arrays and objects would be given what the glue puts into its own.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            let seen = "clean";
            for (const prototype of [Array.prototype, Object.prototype]) for (const name of ["0", "address"]) Object.defineProperty(prototype, name, { set(value) { seen = "seen"; }, configurable: true });
            try { await wallet.batchLocalDb([{ delete: "a" }]); } catch {}
            for (const prototype of [Array.prototype, Object.prototype]) for (const name of ["0", "address"]) delete prototype[name];
            return seen;
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
