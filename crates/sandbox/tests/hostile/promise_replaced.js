// attacks: captured promises
// expect: asks network.connect {"url":"ws://a.example"}; says "clean"
// lifted: asks network.connect {"url":"ws://a.example"}; says "seen"
// glue: wallet
//
// `then` as the script would like it: the glue's own callbacks would come to it.
export default class {
    constructor({ wallet, layer1, network, solution }) {
        const attack = async (params, context) => {
            const then = Promise.prototype.then;
            let seen = "clean";
            Promise.prototype.then = function (yes, no) { if (`${yes}`.includes("connectionOf")) seen = "seen"; return Reflect.apply(then, this, [yes, no]); };
            await network.connect("ws://a.example");
            return seen;
        };
        this.layer2Interface = { actions: [{ name: "attack", call: attack }], state: [] };
    }
}
