// attacks: mailbox
// held: { "limits": { "mailbox": 16 } }
// wide: {}
// calls: 30
// expect: 14 refused: the plugin is busy: too many calls wait
// lifted: 0 refused
//
// A start that does not end: whoever calls waits, and more and more do.
export default class Hostile {
    constructor() {
        this.layer2Interface = { actions: [{ name: "attack", call: () => "done" }], state: [] };
    }
    onStart() { return new Promise(() => {}); }
}
