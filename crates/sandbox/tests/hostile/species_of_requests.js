// attacks: requests without a species
// expect: asks network.connect {"url":"ws://a.example"}; says "function"
// lifted: asks network.connect {"url":"ws://a.example"}; says "species: asked for and lost"
// glue: wallet
//
// Promises whose constructor throws, when the wallet follows one of its own: the request is on its way already.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            const trap = { get() { throw new Error("species"); } };
            Object.defineProperty(Promise, Symbol.species, trap);
            Object.defineProperty(Promise.prototype, "constructor", trap);
            let connection;
            try { connection = network.connect("ws://a.example"); } catch (error) { return `${error.message}: asked for and lost`; }
            Object.defineProperty(connection, "constructor", { value: undefined });
            return typeof (await connection).send;
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
