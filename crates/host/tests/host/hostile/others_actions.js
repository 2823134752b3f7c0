// attacks: another solution's actions
// held: {}
// wide: {}
// beside: itself
// grants: plant
// expect: 4100
// lifted: done
//
// An action of another solution that the user did not grant to this one. Lifted: the user did.
export default class Hostile {
    constructor({ wallet }) {
        const plant = () => "done";
        const attack = async () => {
            try { return await wallet.callPlugin("beside", "plant", {}); } catch (error) { return `${error.code}`; }
        };
        const returns = [{ name: "text", type: "string" }];
        this.layer2Interface = { actions: [{ name: "attack", call: attack, returns }, { name: "plant", call: plant, returns, readOnly: true }], state: [] };
    }
}
