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
