// A plugin whose lives can be told apart, and which ends itself when it is told to.
export default class Lives {
  constructor({ wallet, network }) {
    Object.assign(this, { wallet, network, calls: 0 });
    const action = (name, params = []) => ({
      name, call: this[name].bind(this), params: params.map(([n, type]) => ({ name: n, type })),
    });
    this.layer2Interface = {
      actions: [action("count"), action("hold"), action("die"), action("fail"), action("seen"), action("wakeIn", [["ms", "uint"]])],
    };
  }
  async onStart() {
    for (const url of this.network.urls) await this.network.connect(url);
  }
  // How often it was asked in this life.
  count() { return String(++this.calls); }
  // Something may happen in it from now on.
  hold() { setInterval(() => {}, 1000); return "held"; }
  // A limit ends the instance: no turn may ask for so much.
  die() { for (;;) this.wallet.getAccounts(); }
  fail() { setTimeout(() => { throw new Error("nobody caught this"); }, 1); throw new RangeError("no such luck"); }
  async seen() { return JSON.stringify(await this.#seen()); }
  async #seen() { return (await this.wallet.getFromLocalDb("seen")) ?? []; }
  async #saw(what) { await this.wallet.persist("seen", [...(await this.#seen()), what]); }
  wakeIn({ ms }) { return this.wallet.schedule({ name: "wake", after: ms }).then(() => "scheduled"); }
  async onSchedule() { await this.#saw("woken"); }
  async onNetworkMessage({ text, closed }) {
    if (closed) return;
    const before = await this.wallet.getFromLocalDb("met:" + text);
    await this.wallet.persist("met:" + text, (before ?? 0) + 1);
    if (text.startsWith("poison") || (text.startsWith("once") && !before)) this.die();
    // The first life never comes to an end with this one.
    if (text.startsWith("slow") && !before) await new Promise(() => {});
    await this.#saw(text);
  }
}
