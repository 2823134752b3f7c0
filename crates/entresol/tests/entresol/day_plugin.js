// The plugin of the scripted day. Whatever is asked of it with the same words twice, it does once.
export default class Day {
  constructor({ wallet }) {
    this.wallet = wallet;
    const text = (name) => ({ name, type: "string" });
    const number = (name, more = {}) => ({ name, type: "uint", ...more });
    const action = (name, params, returns = [], more = {}) =>
      ({ name, description: `The day's ${name}`, call: this[name].bind(this), params, returns, ...more });
    const money = [text("id"), number("value", { role: "amount", unit: "wei" })];
    this.layer2Interface = {
      actions: [
        action("remember", [text("key"), text("value")]),
        action("recall", [text("key")], [text("value")], { readOnly: true }),
        action("add", [text("id"), number("n")], [number("sum")]),
        action("open", [], [text("address")]),
        action("sign", [text("message")], [text("signature")]),
        action("plan", [text("name"), number("after"), number("block"), text("task")]),
        action("unplan", [text("name")]),
        action("tell", [text("words")]),
        action("track", [number("amount")]),
        action("stage", [number("transfer"), text("stage")]),
        action("pay", money, [text("transaction")]),
        // Faints when it is asked for its rows, so that the call itself finds nobody.
        action("risk", money, [], { confirmation: this.faint.bind(this) }),
      ],
      state: [{ name: "fired", type: "string" }],
    };
  }

  async remember({ key, value }) { await this.wallet.batchLocalDb([{ put: key, value }]); }
  async recall({ key }) { return (await this.wallet.getFromLocalDb(key)) ?? ""; }

  async add({ id, n }) {
    const [known, sum] = [await this.wallet.getFromLocalDb(`added:${id}`), (await this.wallet.getFromLocalDb("sum")) ?? 0n];
    if (known !== null) return known;
    await this.wallet.batchLocalDb([
      { expect: `added:${id}` }, { put: `added:${id}`, value: sum + n }, { put: "sum", value: sum + n },
    ]);
    return sum + n;
  }

  async open() { return (await this.wallet.getAccount(0)).address; }
  async sign({ message }) { await this.open(); return (await this.wallet.signWithAccount(0, { message })).signature; }
  async plan({ name, after, block, task }) {
    const when = block > 0n ? { block } : { after };
    await this.wallet.schedule({ name, ...when, data: JSON.parse(task) });
  }
  async unplan({ name }) { await this.wallet.cancel(name); }
  async tell({ words }) { await this.wallet.notify({ level: "info", text: words }); }
  async track({ amount }) {
    await this.wallet.trackTransfer({ kind: "payment-out", amount, asset: "ETH", stages: ["promised", "paid"] });
  }
  async stage({ transfer, stage }) { await this.wallet.updateTransfer(transfer, stage); }

  // Noted before it is done: what a crash has cut off is for the caller to look at, not to be done again.
  async pay({ id, value }) {
    const key = `paid:${id}`;
    const known = await this.wallet.getFromLocalDb(key);
    if (known === "begun") throw new Error("nobody knows what became of it");
    if (known !== null) return known;
    await this.wallet.batchLocalDb([{ expect: key }, { put: key, value: "begun" }]);
    const { transaction } = await this.wallet.deposit({ value });
    await this.wallet.persist(key, transaction);
    return transaction;
  }

  risk() {}
  // More requests in one turn than the sandbox lets pass: the instance ends at once.
  faint() { for (let i = 0; i < 2000; i++) this.wallet.getFromLocalDb("x"); }

  async onUpdate({ fromVersion }) {
    const times = Number((await this.wallet.getFromLocalDb("updated")) ?? 0) + 1;
    await this.wallet.persist("updated", times);
    await this.wallet.updateLayer2State({ updated: { times, from: fromVersion } });
  }

  async onSchedule({ name, data }) {
    let said = "done";
    try {
      if (data.call) await this.wallet.callPlugin(data.call, data.action, { id: data.id, value: BigInt(data.value) });
      if (data.ask) await this.wallet.requestPermission(data.ask);
    } catch (error) { said = error.message; }
    const times = Number((await this.wallet.getFromLocalDb(`fired:${name}`)) ?? 0) + 1;
    await this.wallet.persist(`fired:${name}`, times);
    await this.wallet.updateLayer2State({ [name]: { times, said } });
  }
}
