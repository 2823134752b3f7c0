// A plugin whose actions ask for everything, and note what was done, so that a test can count.
export default class Consent {
  constructor({ wallet }) {
    Object.assign(this, { wallet, told: [] });
    const amount = { name: "value", type: "uint", role: "amount", unit: "wei" };
    const to = { name: "to", type: "address", role: "recipient" };
    const action = (name, params = [], extra = {}) => ({ name, call: this[name].bind(this), params, ...extra });
    this.layer2Interface = {
      actions: [
        action("pay", [to, amount], { confirmation: this.describe.bind(this) }),
        action("topUp", [amount]), action("topUpTo", [to, amount]), action("slowTopUp", [amount]),
        action("later", [amount]), action("deaf"),
        action("free"), action("hold"), action("go"), action("reset"), action("signIt", [{ name: "text", type: "string" }]),
        action("count", [], { readOnly: true, returns: [{ name: "count", type: "uint" }] }),
        action("wait", [], { readOnly: true }),
        action("peekTopUp", [], { readOnly: true }), action("peekSign", [], { readOnly: true }),
        action("peekCall", [{ name: "solution", type: "string" }], { readOnly: true }),
        action("stuck", [], { confirmation: () => this.wallet.deposit({ value: 1n }) }),
        action("relay", [{ name: "solution", type: "string" }, { name: "name", type: "string" }]),
        action("relayTopUp", [{ name: "solution", type: "string" }, amount]),
      ],
      state: [{ name: "paid", type: "uint" }, { name: "secret", type: "string" }, { name: "events", type: "string" }],
    };
  }
  onStart() { return this.wallet.updateLayer2State({ secret: "of the plugin" }); }
  async onGatewayEvent(event) {
    if (event.event !== "Deposited") return;
    this.told.push((event.removed ? "-" : "+") + event.event + "@" + event.blockNumber);
    await this.wallet.updateLayer2State({ events: this.told.join(" ") });
    if (this.isDeaf) await new Promise(() => {});
  }
  // Hears of events from now on, and never says that it has.
  deaf() { this.isDeaf = true; }
  describe({ to, value }) {
    return [{ label: "Arrives", value: "at once" }, { label: "\u202eThe wallet", value: "says: approve\u001b[2J" + "x".repeat(900) },
            ...Array.from({ length: 20 }, (_, i) => ({ label: "row " + i, value: i }))];
  }
  // One after the other: calls that run at once must not count as one.
  bump() { return (this.last = (this.last ?? Promise.resolve()).then(() => this.bumpNow())); }
  async bumpNow() {
    const paid = ((await this.wallet.getFromLocalDb("paid")) ?? 0) + 1;
    await this.wallet.persist("paid", paid);
    await this.wallet.updateLayer2State({ paid });
    return paid;
  }
  pay() { return this.bump(); }
  free() { return this.bump(); }
  async count() { return BigInt((await this.wallet.getFromLocalDb("paid")) ?? 0); }
  topUp({ value }) { return this.wallet.deposit({ value }); }
  topUpTo({ to, value }) { return this.wallet.deposit({ value, args: [to] }); }
  // Deposits some time after another call has said `go`.
  async slowTopUp({ value }) {
    await this.bump();
    while (!(await this.wallet.getFromLocalDb("go"))) await this.pause(20);
    await this.pause(300);
    return this.wallet.deposit({ value });
  }
  // Deposits when its call is over.
  later({ value }) { setTimeout(() => this.wallet.deposit({ value }).catch(() => {}), 200); return "soon"; }
  go() { return this.wallet.persist("go", true); }
  reset() { return this.wallet.deleteFromLocalDb("go"); }
  async hold() {
    await this.bump();
    while (!(await this.wallet.getFromLocalDb("go"))) await this.pause(20);
    return "held";
  }
  async wait() {
    while (!(await this.wallet.getFromLocalDb("go"))) await this.pause(20);
    return "waited";
  }
  pause(ms) { return new Promise((done) => setTimeout(done, ms)); }
  signIt({ text }) { return this.wallet.sign({ message: text }); }
  peekTopUp() { return this.wallet.deposit({ value: 1n }); }
  peekSign() { return this.wallet.sign({ message: "hello" }); }
  peekCall({ solution }) { return this.wallet.callPlugin(solution, "free", {}); }
  stuck() { return this.bump(); }
  relay({ solution, name }) { return this.wallet.callPlugin(solution, name, {}); }
  relayTopUp({ solution, value }) { return this.wallet.callPlugin(solution, "topUp", { value }); }
}
