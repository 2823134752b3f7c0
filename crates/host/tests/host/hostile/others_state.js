// attacks: another solution's state
// held: {}
// wide: {}
// beside: itself
// expect: {}
// lifted: {"planted":"secret"}
//
// What another solution has published, also by asking for it by name. Lifted: in the solution whose it is.
export default class Hostile {
    constructor({ wallet }) {
        const plant = async () => { await wallet.updateLayer2State({ planted: "secret" }); return "done"; };
        const attack = async () => JSON.stringify(await wallet.getLayer2State("beside", { solution: "beside" }));
        const returns = [{ name: "text", type: "string" }];
        this.layer2Interface = {
            actions: [{ name: "attack", call: attack, returns }, { name: "plant", call: plant, returns }],
            state: [{ name: "planted", type: "string" }],
        };
    }
}
