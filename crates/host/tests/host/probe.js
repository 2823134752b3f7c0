// A plugin that tries what it must not be able to do.
export default class Probe {
  constructor({ wallet, layer1, network }) {
    Object.assign(this, { wallet, layer1, network, events: [] });
    const action = (name, params = [], extra = {}) => ({
      name, call: this[name].bind(this), params: params.map(([n, type]) => ({ name: n, type })), ...extra,
    });
    this.layer2Interface = {
      actions: [
        action("echo", [["text", "string"]], { returns: [{ name: "text", type: "string" }] }),
        action("lie", [], { returns: [{ name: "value", type: "uint" }] }),
        action("spin"), action("eat"), action("fail"), action("pollute"),
        action("put", [["key", "string"], ["value", "string"]]), action("get", [["key", "string"]]),
        action("connect", [["url", "string"]]), action("rpc", [["method", "string"]]),
        action("pay", [["value", "uint"]]), action("peek", [], { readOnly: true }),
        action("exit", [["name", "string"]]),
        action("signTyped", [["chainId", "uint"], ["contract", "address"], ["kind", "string"]]),
        action("signText", [["text", "string"]]),
        action("signWith", [["index", "uint"]]), action("count"), action("never"), action("flood", [["times", "uint"]]), action("fetch", [["url", "string"]]),
      ],
      state: [{ name: "events", type: "uint" }],
    };
  }
  async onGatewayEvent(event) {
    if (event.event !== "Deposited") return;
    this.events.push(event);
    await this.wallet.updateLayer2State({ events: this.events.length, last: event.event, value: event.args?.value });
  }
  echo({ text }) { return text; }
  lie() { return "not a number"; }
  spin() { for (;;); }
  eat() { const all = []; for (;;) all.push(new Uint8Array(1 << 20)); }
  fail() { const error = new Error("no such luck"); error.code = 4321; error.data = { why: 1n }; throw error; }
  pollute() {
    Object.prototype.ok = "polluted"; Object.prototype.error = undefined; Array.prototype.toJSON = () => "stolen";
    Promise.prototype.then = () => "stolen"; JSON.stringify = () => "stolen"; Map.prototype.get = () => "stolen";
    return "done";
  }
  put({ key, value }) { return this.wallet.persist(key, value); }
  get({ key }) { return this.wallet.getFromLocalDb(key); }
  async connect({ url }) { await this.network.connect(url); return "connected"; }
  async fetch({ url }) {
    const answer = await this.network.fetch(url, { method: "POST", headers: { "X-Probe": "1" }, body: "ping" });
    return { status: answer.status, ok: answer.ok, location: answer.headers.location ?? null, text: await answer.text() };
  }
  rpc({ method }) { return this.layer1.request({ method, params: [] }); }
  pay({ value }) { return this.wallet.deposit({ value }); }
  peek() { return this.wallet.deposit({ value: 1n }); }
  exit({ name }) { return this.wallet.withdraw({ function: name, args: [] }); }
  signTyped({ chainId, contract, kind }) {
    return this.wallet.sign({ typedData: {
      types: { EIP712Domain: [{ name: "chainId", type: "uint256" }, { name: "verifyingContract", type: "address" }],
               [kind]: [{ name: "value", type: "uint256" }] },
      primaryType: kind, domain: { chainId: String(chainId), verifyingContract: contract }, message: { value: "1" } } });
  }
  signText({ text }) { return this.wallet.sign({ message: text }); }
  signWith({ index }) { return this.wallet.signWithAccount(Number(index), { message: "hello" }); }
  // Asks again and again without waiting; the first refusal is its answer.
  flood({ times }) {
    return new Promise((_, no) => { for (let i = 0n; i < times; i++) this.wallet.deposit({ value: i + 1n }).catch(no); });
  }
  async count() { return (await this.wallet.getAccounts()).length; }
  never() { return new Promise(() => {}); }
}
