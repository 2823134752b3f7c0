// attacks: answers without a species
// expect: fails species
// lifted: no answer; 3 uncaught
// glue: wallet
//
// A promise whose constructor throws: whoever calls `then` on it gets the error instead of the answer.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            const promise = Promise.resolve("done");
            Object.defineProperty(Promise, Symbol.species, { get() { throw new Error("species"); } });
            Object.defineProperty(Promise.prototype, "constructor", { get() { throw new Error("species"); } });
            return promise;
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
