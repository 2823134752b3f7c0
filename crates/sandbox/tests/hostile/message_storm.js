// attacks: messages per turn
// expect: ended TooManyMessages
// lifted: 300 × asks wallet.getLayer2State {}; says "done"
// glue: wallet
//
// Requests to the wallet without waiting for an answer, each refused one caught.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            for (let i = 0; i < 300; i++) wallet.getLayer2State().catch(() => {});
            return "done";
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
