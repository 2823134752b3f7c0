// Passes requests on: `ask` calls any method of the wallet object with a list of arguments and gives the answer. Values
// travel as JSON text in which {"$n":"1"} is a BigInt and {"$b":[1]} a Uint8Array.
const pack = (value) => JSON.stringify(value ?? null, (_, v) =>
  typeof v === "bigint" ? { $n: String(v) } : v instanceof Uint8Array ? { $b: [...v] } : v);
const unpack = (text) => JSON.parse(text, (_, v) =>
  v && typeof v === "object" && "$n" in v ? BigInt(v.$n) : v && typeof v === "object" && "$b" in v ? new Uint8Array(v.$b) : v);

export default class Probe {
  constructor({ wallet, layer1, network }) {
    this.roots = { wallet, layer1, network };
    this.held = [];
    const ask = [{ name: "method", type: "string" }, { name: "args", type: "string" }];
    const returns = [{ name: "answer", type: "string" }];
    this.layer2Interface = {
      actions: [
        { name: "ask", call: this.ask.bind(this), params: ask, returns },
        { name: "peek", call: this.ask.bind(this), params: ask, returns, readOnly: true },
        // Waits for `release`, then asks: its caller stays a cause in between.
        { name: "hold", call: this.hold.bind(this), params: ask, returns },
        { name: "look", call: this.hold.bind(this), params: ask, returns, readOnly: true },
        { name: "release", call: () => { this.held.splice(0).forEach((go) => go()); } },
        { name: "holding", call: () => this.held.length, returns: [{ name: "count", type: "uint" }] },
        { name: "double", call: ({ value }) => value * 2n, params: [{ name: "value", type: "uint" }], returns: [{ name: "twice", type: "uint" }] },
        { name: "crash", call: () => { for (;;); } },
      ],
      state: [{ name: "restored", type: "bool" }],
    };
  }
  async run(method, args) {
    const [root, name] = method.split(".");
    const f = this.roots[root][name];
    if (typeof f !== "function") throw new Error("no method " + method);
    const answer = await f(...args);
    return answer && typeof answer === "object" && "status" in answer ? answer.status : answer;
  }
  async ask({ method, args }) { return pack(await this.run(method, unpack(args))); }
  hold({ method, args }) {
    return new Promise((yes, no) => this.held.push(() => this.ask({ method, args }).then(yes, no)));
  }
  // What a hook does is kept in the database, so that it survives a restart: { fail, requests: [[method, args]] }.
  async hook(name, arg) {
    const seen = (await this.roots.wallet.getFromLocalDb("seen:" + name)) ?? [];
    await this.roots.wallet.persist("seen:" + name, [...seen, arg]);
    const program = await this.roots.wallet.getFromLocalDb("hook:" + name);
    if (!program) return;
    if (program.fail > seen.length) throw new Error("not yet");
    const answers = [];
    for (const [method, args] of program.requests ?? []) {
      try { answers.push({ ok: (await this.run(method, args)) ?? null }); } catch (e) { answers.push({ error: e.message, code: e.code }); }
    }
    await this.roots.wallet.persist("did:" + name, answers);
  }
  async onStart({ restored }) { await this.roots.wallet.updateLayer2State({ restored }); }
  async onSchedule(job) { await this.hook("onSchedule", job); }
  async onUserInput(event) { await this.hook("onUserInput", event); }
}
