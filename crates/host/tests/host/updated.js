// A plugin of version $VERSION that says what it was told, in whichever version.
const super_start = (plugin, parts) => Object.assign(plugin, parts);

export default class Updated {
  constructor({ wallet, network, layer1 }) {
    const action = (name, params = []) => ({
      name, call: this[name].bind(this), params: params.map(([n, type]) => ({ name: n, type })),
    });
    this.layer2Interface = {
      actions: [
        action("version"), action("open"), action("keep", [["text", "string"]]), action("kept"), action("seen"), action("slow"),
      ],
    };
    super_start(this, { wallet, network });
  }
  version() { return "$VERSION"; }
  burn() {}
  async open() { return (await this.wallet.getAccount(0)).address; }
  async keep({ text }) { await this.wallet.persist("text", text); }
  async kept() { return this.wallet.getFromLocalDb("text"); }
  async slow() { await new Promise((done) => setTimeout(done, 200)); return "slept"; }
  async seen() {
    const list = async (name) => (await this.wallet.getFromLocalDb(name)) ?? [];
    return JSON.stringify({ heard: await list("heard"), updates: await list("updates") });
  }
  async onUpdate(told) {
    const before = (await this.wallet.getFromLocalDb("updates")) ?? [];
    await this.wallet.persist("updates", [...before, told]);
  }
  async onStart({ updated }) {
    if (updated && !(await this.wallet.getFromLocalDb("updates"))) throw new Error("onUpdate comes first");
    for (const url of this.network.urls) this.socket = await this.network.connect(url);
  }
  async onNetworkMessage({ text, closed }) {
    if (closed) return;
    const heard = (await this.wallet.getFromLocalDb("heard")) ?? [];
    if (heard[heard.length - 1] !== text) await this.wallet.persist("heard", [...heard, text]);
    await this.socket?.send(text).catch(() => {});
  }
}
