// A plugin with heavy work. Its asset is crates/sandbox/assets/work.wasm.
export default class Heavy {
  constructor({ wallet, compute }) {
    Object.assign(this, { wallet, compute, running: null, told: [] });
    const action = (name, params = []) => ({ name, call: this[name].bind(this), params: params.map(([n, type]) => ({ name: n, type })) });
    this.layer2Interface = {
      actions: [
        action("sha", [["size", "uint"]]), action("text", [["input", "string"]]), action("ask", [["asset", "string"], ["entry", "string"], ["input", "string"]]),
        action("chain", [["rounds", "uint"]]), action("begin"), action("end"), action("echo", [["text", "string"]]),
        action("storm"), action("pair"), action("refused"), action("odd"), action("large"), action("throwing"),
      ],
      state: [],
    };
  }
  async sha({ size }) { return this.compute({ asset: "work", export: "sha256", input: new Uint8Array(Number(size)).fill(7) }); }
  async text({ input }) { return this.compute({ asset: "work", export: "sha256", input }); }
  async ask({ asset, entry, input }) {
    try { await this.compute({ asset, export: entry, input }); return "done"; } catch (error) { return `${error.code} ${error.data?.reason} ${error.message}`; }
  }
  async chain({ rounds }) {
    const told = [];
    const input = new Uint8Array(4);
    new DataView(input.buffer).setUint32(0, Number(rounds), true);
    const digest = await this.compute({ asset: "work", export: "chain", input, onProgress: ({ done, total }) => told.push([done, total]) });
    return { digest, told };
  }
  // Spins until `end`; answers as soon as the asset has told that it runs.
  begin() {
    this.stop = new AbortController();
    return new Promise((yes) => {
      this.running = this.compute({ asset: "work", export: "spin", signal: this.stop.signal, onProgress: ({ total }) => yes(total) });
      this.running.catch(() => {});
    });
  }
  async end() {
    this.stop.abort(new Error("changed my mind"));
    try { await this.running; return "it ended by itself"; } catch (error) { return error.message; }
  }
  echo({ text }) { return text; }
  async storm() {
    const stop = new AbortController();
    const all = [];
    for (let i = 0; i < 40; i++) all.push(this.compute({ asset: "work", export: "spin", signal: stop.signal }).then(() => "done", (error) => error.message));
    const first = await Promise.race(all);
    stop.abort(new Error("enough"));
    const said = new Map();
    for (const message of await Promise.all(all)) said.set(message, (said.get(message) ?? 0) + 1);
    return { first, said: [...said].map(([message, count]) => `${count} ${message}`) };
  }
  // Two that run, given up when both have told that they do.
  async pair() {
    const stop = new AbortController();
    const said = [];
    const told = [0, 1].map((at) => new Promise((yes) => {
      const run = this.compute({ asset: "work", export: "spin", signal: stop.signal, onProgress: ({ total }) => yes(total) });
      said[at] = run.then(() => "done", (error) => error.message);
    }));
    await Promise.all(told);
    stop.abort(new Error("enough"));
    return Promise.all(said);
  }
  // More at once than there are requests and tickets.
  async refused() {
    const said = { done: 0, refused: 0, full: 0 };
    const kind = (error) => (error.message.startsWith("more than 32 computations") ? "full" : error.message.startsWith("more than 4 requests") ? "refused" : error.message);
    const all = [];
    for (let i = 0; i < 40; i++) all.push(this.compute({ asset: "work", export: "sha256", input: "x" }).then(() => "done", kind));
    for (const one of await Promise.all(all)) said[one] = (said[one] ?? 0) + 1;
    return said;
  }
  async odd() {
    const said = [];
    for (const order of [undefined, 1, {}, { asset: "work" }, { asset: "work", export: "echo", input: 1 }, { asset: "work", export: "echo", input: [1] }, { asset: "work", export: "echo", onProgress: 1 }, { asset: "work", export: "echo", signal: { aborted: true, reason: "no" } }])
      said.push(await this.compute(order).then(() => "done", (error) => String(error)));
    // The prototypes are the script's to spoil; the glue has its own.
    Uint8Array.prototype.set = Uint8Array.prototype.subarray = () => { throw new Error("spoilt"); };
    Promise.prototype.then = function () { throw new Error("spoilt"); };
    return said;
  }
  async large() {
    const said = [];
    for (const size of [17 << 20]) said.push(await this.compute({ asset: "work", export: "echo", input: new Uint8Array(size) }).then((out) => out.length, (error) => error.message));
    said.push((await this.compute({ asset: "work", export: "echo", input: new Uint8Array(4 << 20).fill(9) })).every((byte) => byte === 9));
    return said;
  }
  // An error thrown while listening is reported, and the work goes on.
  async throwing() {
    const input = new Uint8Array([0, 0, 4, 0]);
    return this.compute({ asset: "work", export: "chain", input, onProgress: () => { throw new Error("not listening"); } });
  }
}
