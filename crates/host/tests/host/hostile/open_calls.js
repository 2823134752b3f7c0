// attacks: openCalls
// held: { "limits": { "openCalls": 16 } }
// wide: {}
// calls: 30
// expect: 14 refused: the plugin is busy: too many calls are open
// lifted: 0 refused
//
// Calls that are taken in and never answered.
export default class Hostile {
    constructor() {
        this.layer2Interface = { actions: [{ name: "attack", call: () => new Promise(() => {}) }], state: [] };
    }
}
