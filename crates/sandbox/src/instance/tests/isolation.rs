//! Row 14 of the list of attacks: realm escape and prototype pollution.

use super::*;

/// The glue of a careful embedder, and a script that changes every built-in the glue might use. The script collects
/// what it gets hold of that way; it must never be the boundary, a function of the glue, or the glue's own data.
#[test]
fn prototype_pollution_does_not_reach_the_glue() {
    let glue = Script {
        name: "glue.js",
        kind: ModuleKind::CommonJs,
        source: r#"
            const { JSONParse, JSONStringify, MapPrototypeGet, MapPrototypeSet, Map, ReflectApply, Promise, PromisePrototypeThen } = primordials;
            const open = new Map();
            boundary.onMessage = (text) => {
                const message = JSONParse(text);
                MapPrototypeSet(open, message.id, { __proto__: null, secret: "the glue's own" });
                const run = new Promise((resolve) => resolve(ReflectApply(boundary.script().run, undefined, [message.value])));
                PromisePrototypeThen(run, (result) => {
                    const call = MapPrototypeGet(open, message.id);
                    boundary.post(JSONStringify({ __proto__: null, id: message.id, result, secret: call.secret }));
                });
            };"#,
    };
    let script = Script {
        name: "script.js",
        kind: ModuleKind::EsModule,
        source: r#"
            const seen = [];
            const spy = (name) => function (...values) { seen[seen.length] = [name, this, ...values]; throw new Error("polluted " + name); };
            const define = Object.defineProperty;
            for (const [prototype, names] of [
                [Map.prototype, ["get", "set", "has", "delete", "forEach"]],
                [Array.prototype, ["push", "map", "forEach", "join", "slice", "toJSON"]],
                [String.prototype, ["toWellFormed", "slice", "toJSON", "toString", Symbol.iterator]],
                [Promise.prototype, ["then", "catch", "finally"]],
                [Object.prototype, ["toJSON", "toString", "valueOf", "then"]],
                [Set.prototype, ["add", "has"]],
                [Uint8Array.prototype, ["set", "subarray"]],
                [Function.prototype, ["call", "apply", "bind", "toString"]],
            ]) for (const name of names) define(prototype, name, { value: spy(String(name)), writable: true, configurable: true });
            for (const name of ["id", "value", "secret", "result", "onMessage", "callback"]) {
                define(Object.prototype, name, {
                    __proto__: null, set(v) { seen[seen.length] = ["setter", this, v]; }, get() { seen[seen.length] = ["getter", this]; }, configurable: true,
                });
            }
            JSON.parse = JSON.stringify = Reflect.apply = Object.keys = Object.freeze = spy("static");
            globalThis.Map = globalThis.Promise = globalThis.Set = spy("global");
            export const run = (value) => {
                let found = "";
                for (let i = 0; i < seen.length; i++) for (let k = 1; k < seen[i].length; k++) {
                    const one = seen[i][k];
                    if (typeof one === "function") found += seen[i][0] + " function;";
                    else if (one === "the glue's own") found += seen[i][0] + " secret;";
                    else if (typeof one === "object" && one !== null && "post" in one) found += seen[i][0] + " boundary;";
                }
                return "clean " + value + found;
            };
        "#,
    };
    let (mut instance, _) =
        Instance::start(engine(), &limits(), &[glue], Some(script), Box::new(Host)).expect("starts");
    for value in ["1", "2"] {
        let outgoing = instance.turn(format!(r#"{{"id":{value},"value":{value}}}"#).as_bytes()).expect("well");
        let expected = format!(r#"{{"id":{value},"result":"clean {value}","secret":"the glue's own"}}"#);
        assert_eq!(outgoing, [Outgoing::Message(expected.into_bytes())]);
    }
}

#[test]
fn the_script_cannot_reach_the_boundary() {
    check(
        "Reflect.ownKeys(globalThis).map(String).filter((name) => /bound|primord|native|host|post|^std|^os$|bjson|scriptArgs|print/i.test(name))",
        "[]",
    );
    let undefined = "\"undefined\"";
    check(
        "[typeof boundary, typeof primordials, typeof native, typeof require, typeof module, typeof process]",
        &format!("[{}]", [undefined; 6].join(",")),
    );
}

#[test]
fn stacks_are_text_and_never_functions() {
    check(
        "(() => {
            let got = 'nothing';
            try { Error.prepareStackTrace = (error, sites) => { got = typeof sites[0].getFunction(); }; } catch {}
            try { Object.defineProperty(Error, 'prepareStackTrace', { value: () => { got = 'defined'; } }); } catch {}
            const typed = typeof new Error('x').stack;
            let caller = 'none';
            try { caller = String((function f() { return f.caller; })()); } catch (e) { caller = e.name; }
            return [got, typed, caller];
        })()",
        "[\"nothing\",\"string\",\"TypeError\"]",
    );
}

#[test]
fn host_objects_are_frozen_and_have_no_prototype_to_climb() {
    check(
        "[Object.isFrozen(console), Object.getPrototypeOf(console), Object.isFrozen(crypto), Object.getPrototypeOf(crypto), Object.isFrozen(console.log)]",
        "[true,null,true,null,true]",
    );
    check(
        "[URL, URLSearchParams, TextEncoder, TextDecoder, AbortController, AbortSignal, Event, EventTarget].every((C) => Object.isFrozen(C) && Object.isFrozen(C.prototype))",
        "true",
    );
    check("[setTimeout, setInterval, clearTimeout, structuredClone].every(Object.isFrozen)", "true");
    check(
        "(() => { try { crypto.extra = 1; } catch (e) { return [e.name, 'extra' in crypto]; } })()",
        "[\"TypeError\",false]",
    );
}

#[test]
fn the_prelude_may_add_to_crypto_and_the_script_may_not() {
    let glue = Script {
        name: "glue.js",
        kind: ModuleKind::CommonJs,
        source: "crypto.extra = Object.freeze({ __proto__: null, hash: (text) => boundary.call('reverse', text) });",
    };
    let source = "export default { run: () => crypto.extra.hash('abc') };";
    let script = Script { name: "script.js", source, kind: ModuleKind::EsModule };
    let (mut instance, _) =
        Instance::start(engine(), &limits(), &[glue, PRELUDE], Some(script), Box::new(Host)).expect("starts");
    assert_eq!(run_to_answer(&mut instance), r#"{"result":"cba"}"#);
}

#[test]
fn instances_share_nothing() {
    let mut one = start(
        "globalThis.mark = 1; Object.prototype.leak = 2; export default { run: () => [globalThis.mark, ({}).leak] };",
    );
    let mut two = start("export default { run: () => [typeof globalThis.mark, typeof ({}).leak] };");
    assert_eq!(run_to_answer(&mut one), r#"{"result":[1,2]}"#);
    assert_eq!(run_to_answer(&mut two), r#"{"result":["undefined","undefined"]}"#);
}

#[test]
fn threads_and_compiled_code_are_not_there() {
    check("[typeof Atomics, typeof WebAssembly, typeof Worker]", "[\"undefined\",\"undefined\",\"undefined\"]");
}

#[test]
fn only_the_documented_globals_are_there() {
    let documents = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/plugins/globals.md");
    let text = std::fs::read_to_string(documents).expect("docs/plugins/globals.md");
    let documented: std::collections::BTreeSet<&str> = text
        .split("## What is left out")
        .next()
        .unwrap_or_default()
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| line.split('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2))
        .collect();
    let answer = result_of("Object.getOwnPropertyNames(globalThis)");
    let names: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    let names: std::collections::BTreeSet<&str> =
        names["result"].as_array().expect("a list").iter().map(|name| name.as_str().expect("a name")).collect();
    assert_eq!(names.difference(&documented).collect::<Vec<_>>(), [""; 0].iter().collect::<Vec<_>>(), "not documented");
    assert_eq!(documented.difference(&names).collect::<Vec<_>>(), [""; 0].iter().collect::<Vec<_>>(), "not there");
}

#[test]
fn text_cannot_become_code() {
    for way in [
        "eval('1')",
        "(0, eval)('1')",
        "globalThis.eval('1')",
        "new Function('return 1')",
        "Function('return this')()",
        "(() => {}).constructor('return 1')",
        "(async () => {}).constructor('return 1')",
        "(function* () {}).constructor('yield 1')",
        "(async function* () {}).constructor('yield 1')",
        "Object.getPrototypeOf((async () => {}).constructor)('1')",
        "Reflect.construct(Function, ['return 1'])",
        "Reflect.construct(Function, ['return 1'], Array)",
        "new (class extends Function { constructor() { super('return 1'); } })()",
        "setTimeout.constructor('return 1')",
        "URL.prototype.toString.constructor('return 1')",
        "Function.prototype.constructor.call(null, '1')",
        "Function.bind(null, '1')()",
    ] {
        check(
            &format!("(() => {{ try {{ return [`made`, {way}]; }} catch (e) {{ return e.name; }} }})()"),
            "\"EvalError\"",
        );
    }
    // What libraries do with them otherwise goes on.
    check(
        "[(() => {}) instanceof Function, Function.prototype === Object.getPrototypeOf(() => {}), eval(5), Function.name, typeof setTimeout === 'function',
          Object.getPrototypeOf(async () => {}).constructor.name, (() => {}).constructor === Function]",
        "[true,true,5,\"Function\",true,\"AsyncFunction\",true]",
    );
    check(
        "await (async () => { try { await import('data:text/javascript,1'); } catch (e) { return e.name; } })()",
        "\"TypeError\"",
    );
    check("(() => { try { setTimeout('1'); } catch (e) { return e.name; } })()", "\"TypeError\"");
}

/// Everything a script can put into the way of the globals, then a use of each: they do what they did, and what the
/// script's traps have seen are values of its own.
#[test]
fn globals_do_not_ask_what_a_script_has_changed() {
    let source = r#"
        const seen = [], halves = [new Uint8Array([0xc3]), new Uint8Array([0xa9])], wide = new Uint8Array([65, 0]);
        const define = Object.defineProperty, listener = (event) => { fired = event.type; };
        let fired = "";
        const spy = (name) => function () { define(seen, seen.length, { value: [name, this], configurable: true, writable: true, enumerable: true }); throw new Error("asked " + name); };
        for (let index = 0; index < 3; index++) define(Array.prototype, index, { __proto__: null, set(v) { define(seen, seen.length, { value: ["setter", v], configurable: true, writable: true, enumerable: true }); }, get() {}, configurable: true });
        for (const name of ["listener", "type", "capture", "once", "passive", "removed", "remove", "name", "value", "callback", "delay", "get", "set", "handleEvent", "signal"]) {
            if (name === "get" || name === "set" || name === "value") continue;
            define(Object.prototype, name, { __proto__: null, set: spy("set " + name), get: undefined, configurable: true });
        }
        const ways = [
            [Array.prototype, [Symbol.iterator, "push", "slice", "indexOf", "join", "concat", "sort", "toString", "constructor"]],
            [Array, [Symbol.species, "from", "of", "isArray"]], [Map.prototype, [Symbol.iterator, "get", "set", "forEach"]], [Set.prototype, [Symbol.iterator, "add", "forEach", "delete"]],
            [String.prototype, [Symbol.iterator, "split", "slice", "charCodeAt", "toWellFormed", "toLowerCase", "trim"]], [RegExp.prototype, ["exec", Symbol.split, "test"]],
            [Uint8Array, [Symbol.hasInstance, Symbol.species]], [Object.getPrototypeOf(Uint8Array.prototype), ["set", "subarray", "slice", Symbol.iterator]],
            [Promise, ["reject", "resolve"]], [Promise.prototype, ["then"]], [Function.prototype, ["call", "apply", "bind"]],
            [Object.getPrototypeOf(Object.getPrototypeOf([].keys())), [Symbol.iterator]], [Date, ["now"]], [Number.prototype, ["toString"]],
        ];
        for (let i = 0; i < ways.length; i++) for (let k = 0; k < ways[i][1].length; k++) {
            define(ways[i][0], ways[i][1][k], { __proto__: null, value: spy(String(ways[i][1][k])), writable: true, configurable: true });
        }
        export const run = () => {
            let out = "";
            const target = new EventTarget();
            target.addEventListener("x", listener); target.addEventListener("x", listener, { __proto__: null, capture: true, once: true, passive: false, signal: undefined });
            target.dispatchEvent(new Event("x", { __proto__: null })); target.removeEventListener("x", listener, true);
            out += fired;
            const controller = new AbortController();
            controller.signal.onabort = () => { out += " aborted"; };
            controller.abort(1);
            const url = new URL("http://a/?q=1&r=2");
            url.searchParams.append("k", "v"); url.searchParams.delete("q"); url.searchParams.sort();
            out += " " + url.href + " " + url.searchParams.get("k") + new URLSearchParams("a=1&b=2").toString();
            const copy = structuredClone({ __proto__: null, a: { __proto__: null, b: 5n } });
            out += " " + copy.a.b + " " + crypto.randomUUID().length + " " + btoa("a") + atob("YQ==");
            const decoder = new TextDecoder("utf-8", { __proto__: null, stream: undefined });
            out += " " + decoder.decode(new TextEncoder().encode("\u20ac")) + decoder.decode(halves[0], { __proto__: null, stream: true }) + decoder.decode(halves[1]);
            out += new TextDecoder("utf-16le").decode(wide) + new TextDecoder("latin1").decode(wide);
            console.log("%s", "printed", { __proto__: null, a: 1 }); console.group("g"); console.groupEnd(); console.count("c");
            clearTimeout(setTimeout(() => {}, 1));
            let foreign = "";
            for (let i = 0; i < seen.length; i++) foreign += seen[i][0] + ";";
            return out + "|" + foreign;
        };
    "#;
    let script = Script { name: "script.js", source, kind: ModuleKind::EsModule };
    let (mut instance, _) =
        Instance::start(engine(), &limits(), &[PRELUDE], Some(script), Box::new(Host)).expect("starts");
    let outgoing = ask(&mut instance, "run", "null").expect("well");
    assert!(
        outgoing.iter().any(|item| matches!(item, Outgoing::Log { text, .. } if text == "printed { a: 1 }")),
        "{outgoing:?}"
    );
    assert_eq!(messages(outgoing), [r#"{"result":"x aborted http://a/?k=v&r=2 va=1&b=2 5 36 YQ==a €éAA\u0000|"}"#]);
}

/// Row 14: what nobody catches is told with the script's own place, and with nothing of the glue.
#[test]
fn reports_name_the_scripts_file_and_line_and_no_frame_of_the_embedder() {
    let glue = Script { name: "entresol:test", ..PRELUDE };
    let source = "function fail() {\n  throw new RangeError('here');\n}\nexport default {\n  run() { fail(); },\n  later() { Promise.reject(new TypeError('nobody')); return 1; },\n          text() { Promise.reject('only text'); },\n  timer() { setTimeout(function tick() { fail(); }, 1); },\n  event() { const t = new EventTarget(); t.addEventListener('x', () => fail()); t.dispatchEvent(new Event('x')); },\n          liar() { const e = new Error('l'); e.stack = 'x'.repeat(300000); Promise.reject(e); },\n  trap() { Promise.reject({ get stack() { throw 1; }, toString() { throw 2; } }); },\n};";
    let script = Script { name: "plugin/index.js", source, kind: ModuleKind::EsModule };
    let (mut instance, _) =
        Instance::start(engine(), &limits(), &[glue], Some(script), Box::new(Host)).expect("starts");
    let mut uncaught = |name: &str| {
        let mut outgoing = ask(&mut instance, name, "null").expect("lives");
        if let Some(Outgoing::Timer { id, .. }) = outgoing.iter().find(|item| matches!(item, Outgoing::Timer { .. })) {
            outgoing = instance.fire_timer(*id).expect("lives");
        }
        let report = |item| match item {
            Outgoing::Uncaught { message, stack } => Some((message, stack)),
            _ => None,
        };
        outgoing.into_iter().find_map(report).unwrap_or_default()
    };
    let (message, stack) = uncaught("later");
    assert_eq!(message, "TypeError: nobody");
    assert!(stack.starts_with("    at later (plugin/index.js:6:") && stack.lines().count() == 1, "{stack}");
    assert_eq!(uncaught("text"), ("only text".to_owned(), String::new()));
    let (message, stack) = uncaught("timer");
    assert_eq!(message, "RangeError: here");
    assert!(
        stack.starts_with("    at fail (plugin/index.js:2:") && stack.contains("at tick (plugin/index.js:8:"),
        "{stack}"
    );
    assert!(!stack.contains("entresol:"), "{stack}");
    let (message, stack) = uncaught("event");
    assert_eq!(message, "RangeError: here");
    assert!(stack.contains("(plugin/index.js:9:") && !stack.contains("entresol:"), "{stack}");
    assert!(uncaught("liar").1.len() < 70_000);
    assert_eq!(uncaught("trap").0, "an error that cannot be printed");
}
