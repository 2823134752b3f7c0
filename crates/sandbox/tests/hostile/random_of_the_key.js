// attacks: randomness of the host
// expect: asks wallet.getAccount {}; says "done"; randomness
// lifted: asks wallet.getAccount {}; says "done"
// glue: wallet
//
// Keys of a plugin that makes them by Math.random.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            await wallet.getAccount();
            return Math.random() < 1 ? "done" : "";
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
