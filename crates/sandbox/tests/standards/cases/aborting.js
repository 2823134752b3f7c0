const log = (work) => { const seen = []; work((...values) => seen.push(...values)); return seen; };

export async function run() {
    await ask("controller", () => { const c = new AbortController(); return [c.signal === c.signal, c.signal.aborted, c.signal.reason, c.signal.onabort, c.abort(), c.signal.aborted, c.signal.reason.name, c.signal.reason.code]; });
    await ask("reason", () => { const c = new AbortController(); c.abort(5); c.abort(6); return c.signal.reason; });
    await ask("reason null", () => { const c = new AbortController(); c.abort(null); return [c.signal.reason, c.signal.aborted]; });
    await ask("reason undefined", () => { const c = new AbortController(); c.abort(undefined); return c.signal.reason.name; });
    await ask("signal has no constructor", () => new AbortSignal());
    await ask("event", () => log((say) => { const c = new AbortController(); c.signal.addEventListener("abort", (e) => say(e.type, e.isTrusted, e.bubbles, e.cancelable, e.target === c.signal, c.signal.aborted)); c.abort(); c.abort(); }));
    await ask("onabort", () => log((say) => { const c = new AbortController(); c.signal.onabort = function (e) { say("on", this === c.signal, e.type); }; c.signal.addEventListener("abort", () => say("listener")); c.abort(); }));
    await ask("onabort later", () => log((say) => { const c = new AbortController(); c.signal.addEventListener("abort", () => say("listener")); c.signal.onabort = () => say("on"); c.abort(); }));
    await ask("onabort taken back", () => log((say) => { const c = new AbortController(); c.signal.onabort = () => say("on"); c.signal.onabort = null; say(c.signal.onabort); c.abort(); }));
    await standard("onabort of a text", () => { const c = new AbortController(); c.signal.onabort = "text"; return c.signal.onabort; }, null);
    await ask("throwIfAborted", () => { const c = new AbortController(); const before = c.signal.throwIfAborted(); c.abort("why"); try { c.signal.throwIfAborted(); } catch (e) { return [before, e]; } });
    await ask("static abort", () => [AbortSignal.abort().reason.name, AbortSignal.abort(3).reason, AbortSignal.abort().aborted]);
    await ask("timeout", () => new Promise((done) => { const s = AbortSignal.timeout(5); s.onabort = () => done([s.aborted, s.reason.name, s.reason.code]); }));
    await ask("timeout of 0", () => new Promise((done) => { const s = AbortSignal.timeout(0); const early = s.aborted; s.onabort = () => done([early, s.aborted]); }));
    await ask("timeout of nothing", () => AbortSignal.timeout());
    await ask("any of nothing", () => AbortSignal.any([]).aborted);
    await ask("any", () => log((say) => { const a = new AbortController(), b = new AbortController(); const s = AbortSignal.any([a.signal, b.signal]); s.onabort = () => say("any"); a.signal.onabort = () => say("a", s.aborted); b.abort("b"); a.abort("a"); say(s.reason, s.aborted); }));
    await ask("any of aborted", () => { const s = AbortSignal.any([new AbortController().signal, AbortSignal.abort(1), AbortSignal.abort(2)]); return [s.aborted, s.reason]; });
    await ask("any of any", () => log((say) => { const a = new AbortController(); const s = AbortSignal.any([AbortSignal.any([a.signal]), AbortSignal.any([a.signal])]); s.onabort = () => say("once"); a.abort(7); say(s.reason); }));
    await ask("any of no signals", () => AbortSignal.any([{}]));
    await ask("any of no list", () => AbortSignal.any(5));
    await standard("any takes an iterator", () => AbortSignal.any(new Set([AbortSignal.abort(9)])).reason, 9);
    await ask("abort in a listener", () => log((say) => { const c = new AbortController(); c.signal.addEventListener("abort", () => { say("one"); c.abort("again"); }); c.signal.addEventListener("abort", () => say("two", c.signal.reason)); c.abort("first"); }));
    await ask("with a promise", () => { const c = new AbortController(); const p = new Promise((_, no) => c.signal.addEventListener("abort", () => no(c.signal.reason))); c.abort(new RangeError("r")); return p; });
    await ask("tags", () => [String(new AbortController()), String(AbortSignal.abort()), AbortSignal.abort() instanceof EventTarget]);
    return answers;
}
