// attacks: turn
// expect: ended Deadline
// lifted: asks wallet.persist 1179665 characters; says "done"
// glue: wallet
//
// Each level holds the one below twice: twenty lines, a million leaves.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            let value = "leaf";
            for (let i = 0; i < 17; i++) value = [value, value];
            try { await wallet.persist("a", value); return "done"; } catch (error) { return error.name; }
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
