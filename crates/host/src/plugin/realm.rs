//! Row 14: a script against the glue that runs it. The real glue, a real instance; what goes out is what the host reads.

use super::{GLUE, crypto::Crypto};
use entresol_sandbox::{Engine, Instance, Limits, ModuleKind, Outgoing, Script};
use serde_json::{Value as Json, json};
use std::sync::OnceLock;
use std::time::Duration;

/// A script with these lines before its class and these actions, constructed.
fn start(before: &str, actions: &str) -> Instance {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| Engine::new(None).expect("the engine compiles"));
    let source = format!(
        "{before}\nexport default class {{ constructor(given) {{ const names = ['a', 'b', 'c', 'd', 'e', 'f'], calls = [{actions}], actions = [];
            for (let i = 0; i < calls.length; i++) Object.defineProperty(actions, i, {{ __proto__: null, value: {{ name: names[i], call: (params) => calls[i](params, given), params: [], returns: [] }}, enumerable: true, writable: true, configurable: true }});
            this.layer2Interface = {{ actions, state: [] }}; }} }}"
    );
    let script = Script { name: "plugin/index.js", source: &source, kind: ModuleKind::EsModule };
    let limits = Limits { turn: Duration::from_secs(30), ..Limits::default() };
    let (mut instance, _) = Instance::start(engine, &limits, &[GLUE], Some(script), Box::new(Crypto)).expect("starts");
    let said = send(
        &mut instance,
        &json!({ "t": "start", "id": 0, "context": { "layer1": {}, "network": {}, "solution": {} } }),
    );
    assert!(said[0].get("ok").is_some(), "{said:?}");
    instance
}

fn send(instance: &mut Instance, message: &Json) -> Vec<Json> {
    let out = instance.turn(message.to_string().as_bytes()).expect("lives");
    out.into_iter()
        .map(|item| match item {
            Outgoing::Message(text) => serde_json::from_slice(&text).expect("JSON"),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn call(instance: &mut Instance, id: u64, action: &str, params: Json) -> Vec<Json> {
    send(
        instance,
        &json!({ "t": "call", "id": id, "action": action, "params": params, "context": { "caller": "x", "solution": "y" } }),
    )
}

/// Changes what a script can change, before its first call.
const POLLUTED: &str = r"
    const seen = [], define = Object.defineProperty, Fault = Error;
    const spy = (name) => function () { define(seen, seen.length, { __proto__: null, value: name, writable: true, enumerable: true, configurable: true }); throw new Fault('asked ' + name); };
    const ways = [[Array.prototype, [Symbol.iterator, 'push', 'slice', 'map', 'join', 'toJSON', 'constructor']], [Array, [Symbol.species, 'isArray', 'from']], [Map.prototype, ['get', 'set', 'delete', 'has']],
        [Promise.prototype, ['catch', 'finally', 'constructor']], [Promise, [Symbol.species, 'resolve', 'reject']], [String.prototype, ['slice', 'startsWith', 'includes', 'toJSON', Symbol.iterator]],
        [Object.prototype, ['toJSON', 'valueOf', 'error', 'get', 'set', 'ok', 'code', 'data', 'stack']], [Function.prototype, ['call', 'apply', 'bind']], [Uint8Array, [Symbol.hasInstance, Symbol.species]],
        [Object.getPrototypeOf(Uint8Array.prototype), ['set', 'subarray', 'slice', 'length']], [BigInt.prototype, ['toString', 'toJSON']], [RegExp.prototype, ['exec', 'test']], [JSON, ['parse', 'stringify']], [Reflect, ['apply', 'ownKeys']],
        [Object, ['keys', 'freeze', 'defineProperty', 'create', 'getPrototypeOf', 'setPrototypeOf']], [globalThis, ['Promise', 'Map', 'Error', 'TypeError', 'Uint8Array', 'BigInt', 'parseInt', 'String', 'Object']], [TextDecoder, []]];
    for (let i = 0; i < ways.length; i++) for (let k = 0; k < ways[i][1].length; k++) {
        define(ways[i][0], ways[i][1][k], { __proto__: null, value: spy('' + (typeof ways[i][1][k] === 'symbol' ? 'symbol' : ways[i][1][k])), writable: true, configurable: true });
    }
    const told = () => { let text = ''; for (let i = 0; i < seen.length; i++) text += seen[i] + ' '; return text; };
";

#[test]
fn row_14_a_script_that_changed_every_built_in_is_served_as_before() {
    let mut instance = start(
        &POLLUTED.replace("'Object']]", "'Math']]").replace("'defineProperty', ", ""),
        "(params) => ({ __proto__: null, text: params.text, big: params.big, bytes: params.bytes, list: params.list }),
         async (params, { wallet }) => { const account = await wallet.getAccount(3); return account.index; },
         async (params, { wallet }) => { try { await wallet.persist('k', 1n); } catch (error) { return error.code; } },
         () => crypto.eth.recoverBatch([]).length + crypto.eth.keccak256('x').byteLength,
         () => told()",
    );
    let params =
        json!({ "text": "é", "big": { "$n": "12" }, "bytes": { "$b": "0x0102" }, "list": [1, { "$$x": null }] });
    let said = call(&mut instance, 5, "a", params.clone());
    assert_eq!(said, [json!({ "t": "done", "id": 5, "ok": params })]);
    let asked = call(&mut instance, 6, "b", json!({}));
    assert_eq!(asked, [json!({ "t": "request", "id": 1, "method": "wallet.getAccount", "params": { "index": 3 } })]);
    let said = send(&mut instance, &json!({ "t": "reply", "id": 1, "ok": { "index": 3 } }));
    assert_eq!(said, [json!({ "t": "done", "id": 6, "ok": 3 })]);
    assert_eq!(call(&mut instance, 7, "c", json!({})).len(), 1);
    let said = send(
        &mut instance,
        &json!({ "t": "reply", "id": 2, "error": { "code": 4100, "message": "no", "data": null } }),
    );
    assert_eq!(said, [json!({ "t": "done", "id": 7, "ok": 4100 })]);
    assert_eq!(call(&mut instance, 8, "d", json!({})), [json!({ "t": "done", "id": 8, "ok": 32 })]);
    assert_eq!(
        call(&mut instance, 9, "e", json!({})),
        [json!({ "t": "done", "id": 9, "ok": "" })],
        "the glue asked the script"
    );
}

#[test]
fn row_14_what_a_script_gives_back_is_data_or_an_error() {
    let mut instance = start(
        "const evil = (name) => { throw new RangeError('trap ' + name); };",
        "({ way }) => [
            () => ({ toJSON() { return 'json'; }, a: 1 }),
            () => ({ get a() { return evil('getter'); } }),
            () => new Proxy({}, { ownKeys() { return evil('ownKeys'); } }),
            () => new Proxy([], { get(_, key) { return key === 'length' ? 1e9 : evil('get'); } }),
            () => ({ then(yes) { yes({ then(again) { again(7); } }); } }),
            () => ({ then(yes, no) { no(new TypeError('thenable')); yes(1); yes(2); } }),
            () => ({ get then() { return evil('then'); } }),
            () => Object.assign(Promise.resolve(5), { then() { evil('own then'); }, constructor: { [Symbol.species]: evil } }),
            () => Symbol('s'), () => () => {}, () => NaN, () => { const loop = {}; loop.loop = loop; return loop; },
            () => ({ __proto__: { inherited: 1 }, own: 2, [Symbol('x')]: 3 }),
            () => JSON.parse('{\"__proto__\":{\"x\":1},\"constructor\":2}'),
            () => { throw { get code() { throw 1; }, message: 'm' }; },
            () => { throw Object.assign(new Error('e'), { code: 2 ** 40, stack: { toString() { return 'x'; } }, name: 5 }); },
            () => { throw null; },
            () => { class Lie extends Uint8Array { get length() { return 1e9; } get [Symbol.toStringTag]() { return 'no'; } } return new Lie([1, 2]); },
            () => Object.defineProperty({}, Symbol.toStringTag, { value: 'Uint8Array' }),
            () => ({ $n: 'x' }), () => new Date(5), () => [, 1], () => ({ a: undefined }),
         ][way]()",
    );
    let outcome = |said: &[Json]| match (&said[0]["ok"], &said[0]["error"]) {
        (_, error) if !error.is_null() => {
            format!("error {} {}", error["code"], error["message"].as_str().unwrap_or_default())
        }
        (ok, _) => ok.to_string(),
    };
    let expected = [
        "error -32011 TypeError: a function cannot cross the boundary",
        "error -32011 RangeError: trap getter",
        "error -32011 RangeError: trap ownKeys",
        "error -32011 RangeError: trap get",
        "7",
        "error -32011 TypeError: thenable",
        "error -32011 RangeError: trap then",
        // A promise is a promise, whatever `then` it was given.
        "5",
        "error -32011 TypeError: a symbol cannot cross the boundary",
        "error -32011 TypeError: a function cannot cross the boundary",
        "error -32011 TypeError: NaN and Infinity cannot cross the boundary",
        "error -32011 TypeError: a value is nested deeper than 64",
        r#"{"own":2}"#,
        r#"{"__proto__":{"x":1},"constructor":2}"#,
        "error -32011 the plugin threw something that is no error",
        "error -32011 TypeError: Error.prototype.stack setter expects a string",
        "error -32011 the plugin threw something that is no error",
        r#"{"$b":"0x0102"}"#,
        "{}",
        r#"{"$$n":"x"}"#,
        "{}",
        "[null,1]",
        "{}",
    ];
    for (way, expected) in expected.iter().enumerate() {
        let said = call(&mut instance, 100 + way as u64, "a", json!({ "way": way }));
        assert_eq!(said.len(), 1, "way {way}: {said:?}");
        assert_eq!(said[0]["id"], 100 + way as u64);
        assert_eq!(&outcome(&said), expected, "way {way}");
    }
}

#[test]
fn row_14_host_objects_are_frozen_to_their_functions_and_lead_nowhere() {
    let mut instance = start(
        "",
        "(params, { wallet, layer1, network, solution }) => {
            const bad = [];
            for (const [name, object] of Object.entries({ wallet, layer1, network, eth: crypto.eth })) {
                if (!Object.isFrozen(object) || Object.getPrototypeOf(object) !== null) bad.push(name);
                for (const key of Reflect.ownKeys(object)) {
                    const value = object[key];
                    if (typeof value !== 'function') continue;
                    if (!Object.isFrozen(value)) bad.push(name + '.' + key);
                    for (const way of ['caller', 'arguments']) { try { if (value[way]) bad.push(key + ' ' + way); } catch { /* as it should be */ } }
                    if (!(value instanceof Function) || 'prototype' in value) bad.push(key + ' constructor');
                }
            }
            return bad;
        }",
    );
    assert_eq!(call(&mut instance, 1, "a", json!({})), [json!({ "t": "done", "id": 1, "ok": [] })]);
}
