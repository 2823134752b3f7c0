const text = (init) => `${new URLSearchParams(init)}`;

export async function run() {
    const inits = { nothing: undefined, empty: "", mark: "?a=b", marks: "??a=b", plus: "a=b+c%20d", broken: "a=%zz&b=%e2%98%82&c=%ff", amps: "&&a&&=b&c=&", same: "a=1&a=2", eq: "a==b", number: 5, bool: true,
        pairs: [["a", "1"], ["a", "2"], ["\ud800", "☂"]], record: { a: 1, "b c": null, [Symbol.iterator]: undefined }, surrogates: { "\ud835x": "1", xx: "2", "\ud83dxx": "3" }, params: new URLSearchParams("x=y"), map: new Map([["m", "1"]]), set: new Set([["s", "t"]]),
        three: [["a", "b", "c"]], one: [["a"]], none: [[]], numbers: [1, 2], strings: ["ab", "cd"], notIterable: { [Symbol.iterator]: 5 }, symbolKey: { [Symbol("k")]: 1 }, symbolValue: { a: Symbol("v") }, callable: Object.assign(() => {}, { f: 1 }), hidden: Object.defineProperty({ a: 1 }, "b", { value: 2, enumerable: false }) };
    for (const [name, init] of Object.entries(inits)) await ask(`init ${name}`, () => text(init));
    await standard("init null", () => text(null), "null=");
    await ask("generator", () => text((function* () { yield ["a", "b"]; yield new Set(["c", "d"]); })()));
    const p = () => new URLSearchParams("b=2&a=1&b=3&c=%E2%98%82");
    await ask("get", () => [p().get("b"), p().get("zz"), p().getAll("b"), p().getAll("zz"), p().has("c"), p().has("b", "3"), p().has("b", "4"), p().has("b", undefined), p().size]);
    await ask("append", () => { const q = p(); q.append("x", null); q.append("y", undefined); q.append(1, 2); return [`${q}`, q.append("z", "")]; });
    await ask("delete", () => { const q = p(); q.delete("b"); q.delete("zz"); return `${q}`; });
    await ask("delete one value", () => { const q = p(); q.delete("b", "3"); q.delete("a", undefined); return `${q}`; });
    await ask("set", () => { const q = p(); q.set("b", "9"); q.set("new", "&="); return `${q}`; });
    await ask("sort", () => { const q = new URLSearchParams("z=b&a=b&z=a&a=a&\ufffc=1&\u{1F308}=2&\ufffc=3"); q.sort(); return [...q]; });
    await ask("walk", () => [[...p()], [...p().keys()], [...p().values()], [...p().entries()], URLSearchParams.prototype[Symbol.iterator] === URLSearchParams.prototype.entries]);
    await ask("walk while deleting", () => { const q = p(); const seen = []; for (const [k] of q) { seen.push(k); q.delete(k); } return [seen, `${q}`]; });
    await ask("walk while appending", () => { const q = new URLSearchParams("a=1"); const seen = []; for (const [k] of q) { seen.push(k); if (seen.length < 3) q.append("b", "2"); } return seen; });
    await ask("forEach", () => { const seen = []; const self = {}; const q = p(); q.forEach(function (value, key, all) { seen.push(value, key, all === q, this === self); }, self); return seen; });
    await ask("forEach of nothing", () => p().forEach());
    await ask("forEach of a text", () => p().forEach("x"));
    await ask("iterator", () => { const i = p().entries(); return [Object.prototype.toString.call(i), i[Symbol.iterator]() === i, i.next()]; });
    await ask("iterator ends", () => { const i = new URLSearchParams("a=1").keys(); return [i.next(), i.next(), i.next()]; });
    for (const [name, count] of [["append", 2], ["delete", 1], ["get", 1], ["getAll", 1], ["has", 1], ["set", 2]]) {
        await ask(`${name} with too little`, () => p()[name](...["x"].slice(0, count - 1)));
        await ask(`${name} length`, () => URLSearchParams.prototype[name].length);
    }
    await ask("brand", () => URLSearchParams.prototype.get.call({}, "a"));
    await ask("entries brand", () => URLSearchParams.prototype.entries.call({}));
    await ask("names", () => Object.keys(URLSearchParams.prototype).sort());
    await ask("tag", () => Object.prototype.toString.call(p()));
    await ask("linked", () => {
        const u = new URL("http://a/?x=1#h");
        const q = u.searchParams;
        q.append("y", "a b");
        const first = u.href;
        u.search = "?z=%20";
        const second = [`${q}`, q === u.searchParams];
        q.delete("z");
        const third = u.href;
        u.href = "http://b/?n=1&n=2";
        q.set("n", "3");
        return [first, second, third, u.href, q.size];
    });
    await ask("linked sort and opaque", () => { const u = new URL("data:space  ?b=1&a#x"); u.searchParams.sort(); const one = u.href; return one; });
    await ask("searchParams is read only", () => { "use strict"; const u = new URL("http://a/"); u.searchParams = "x=1"; return u.href; });
    await ask("URL statics", () => [URL.canParse("x"), URL.canParse("x", "http://a"), URL.parse("x"), URL.parse("x", "http://a/b/").href, URL.length, URL.canParse.length]);
    await ask("URL of nothing", () => new URL());
    await ask("URL invalid", () => new URL("http://a b/"));
    await ask("URL base invalid", () => new URL("x", "nothing"));
    await ask("URL undefined base", () => new URL("http://a/x", undefined).pathname);
    await ask("URL null base", () => new URL("http://a/x", null).pathname);
    await ask("URL without new", () => URL("http://a"));
    await ask("URL of a URL", () => new URL(new URL("http://a/b"), new URL("http://c")).href);
    await ask("URL text", () => { const u = new URL("HTTP://É.example/ü?ö#ä"); return [`${u}`, u + "", JSON.stringify({ u }), Object.prototype.toString.call(u)]; });
    await ask("URL href set badly", () => { const u = new URL("http://a/"); try { u.href = "bad"; } catch (e) { return [e.name, u.href]; } });
    await ask("URL names", () => Object.keys(URL.prototype).sort());
    await ask("URL brand", () => Object.getOwnPropertyDescriptor(URL.prototype, "href").get.call({}));
    return answers;
}
