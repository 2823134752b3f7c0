//! The JavaScript WebAssembly API by permission: what it is counted towards, what ends it, what is kept of it.

use super::*;
use crate::guest::Guest;
use crate::record::{Recorder, Recording};
use crate::snapshot::{Key, Restored, Source};

fn allowed() -> Limits {
    Limits { webassembly: true, ..limits() }
}

/// A script that finds the modules it names by their texts, as bytes.
fn script(modules: &[(&str, &str)], source: &str) -> String {
    let mut text = String::new();
    for (name, module) in modules {
        let wasm = wat::parse_str(module).expect("a module");
        text += &format!("const {name} = new Uint8Array({wasm:?});\n");
    }
    text + "const instance = (bytes, env) => new WebAssembly.Instance(new WebAssembly.Module(bytes), { env }).exports;\n"
        + source
}

fn start_under(limits: &Limits, source: &str) -> Instance {
    let (instance, outgoing) = start_with(limits, ModuleKind::EsModule, source).expect("the script starts");
    assert_eq!(outgoing, []);
    instance
}

#[track_caller]
fn check_under(limits: &Limits, modules: &[(&str, &str)], body: &str, expected: &str) {
    let source = script(modules, &format!("export default {{ async run() {{ {body} }} }};"));
    let mut instance = start_under(limits, &source);
    assert_eq!(run_to_answer(&mut instance), format!(r#"{{"result":{expected}}}"#));
}

const COUNTER: &str = "(module (memory (export \"memory\") 1)
    (func (export \"next\") (result i32)
        (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1))) (i32.load (i32.const 0))))";
const LOOP: &str = "(module (func (export \"spin\") (loop $again (br $again))))";
const DEEP: &str = "(module (func $down (export \"down\") (param i32) (result i32) (i32.add (i32.const 1) (call $down (local.get 0)))))";
const BACK: &str = "(module (import \"env\" \"back\" (func $back (param i32) (result i32)))
    (memory (export \"memory\") 1 100)
    (func (export \"go\") (param i32) (result i32) (call $back (local.get 0)))
    (func (export \"then\") (param i32) (result i32) (drop (call $back (local.get 0))) (i32.load8_u (i32.const 0)))
    (func (export \"grow\") (param i32) (result i32) (memory.grow (local.get 0))))";

#[test]
fn without_the_permission_there_is_nothing_of_it() {
    check("[typeof WebAssembly, 'WebAssembly' in globalThis]", r#"["undefined",false]"#);
    check_under(
        &allowed(),
        &[],
        "return [typeof WebAssembly, Object.keys(WebAssembly)];",
        r#"["object",["validate","compile","instantiate"]]"#,
    );
}

#[test]
fn state_of_a_module_stays_from_turn_to_turn() {
    let source = script(
        &[("COUNTER", COUNTER)],
        "const it = instance(COUNTER); export default { run: () => [it.next(), new Uint32Array(it.memory.buffer)[0]++] };",
    );
    let mut instance = start_under(&allowed(), &source);
    for expected in ["[1,1]", "[3,3]", "[5,5]"] {
        assert_eq!(run_to_answer(&mut instance), format!(r#"{{"result":{expected}}}"#));
    }
}

#[test]
fn a_module_that_never_ends_ends_the_turn_also_where_the_script_catches_everything() {
    let limits = Limits { turn: Duration::from_millis(300), ..allowed() };
    for body in [
        "try { instance(LOOP).spin(); } catch { return 1; }",
        "const spin = instance(LOOP).spin; try { instance(BACK, { back: () => { try { spin(); } catch {} return 1; } }).go(1); } catch { return 2; }",
        "await WebAssembly.instantiate(LOOP).then(({ instance }) => { try { instance.exports.spin(); } finally { return 3; } });",
    ] {
        let source =
            script(&[("LOOP", LOOP), ("BACK", BACK)], &format!("export default {{ async run() {{ {body} }} }};"));
        let mut instance = start_under(&limits, &source);
        assert!(matches!(ask(&mut instance, "run", "null"), Err(SandboxError::Deadline)), "{body}");
        assert!(matches!(instance.ended(), Some(SandboxError::Deadline)));
    }
}

#[test]
fn recursion_of_a_module_ends_the_turn_and_recursion_through_the_script_is_an_error_it_can_catch() {
    let source = script(
        &[("DEEP", DEEP)],
        "export default { run() { try { instance(DEEP).down(1); } catch (error) { return error.name; } } };",
    );
    let mut instance = start_under(&allowed(), &source);
    assert!(matches!(ask(&mut instance, "run", "null"), Err(SandboxError::Stack)));
    check_under(
        &allowed(),
        &[("BACK", BACK)],
        "let depth = 0;
        const it = instance(BACK, { back(x) { depth++; return it.go(x); } });
        const names = [];
        for (let i = 0; i < 3; i++) { try { it.go(1); } catch (error) { names.push(error.name, error.message); } }
        const sort = instance(BACK, { back: (x) => [3, 1, 2].sort((a, b) => sort.go(a) - b)[0] });
        try { sort.go(1); } catch (error) { names.push(error.name); }
        return [names, depth];",
        r#"[["RangeError","Maximum call stack size exceeded","RangeError","Maximum call stack size exceeded","RangeError","Maximum call stack size exceeded","RangeError"],600]"#,
    );
}

#[test]
fn memories_count_towards_the_scripts_own() {
    let limits = Limits { memory_bytes: 16 << 20, start_memory_bytes: 16 << 20, ..allowed() };
    check_under(
        &limits,
        &[("BACK", BACK)],
        "const memory = new WebAssembly.Memory({ initial: 1 });
        let pages = 1;
        try { for (;;) { memory.grow(16); pages += 16; } } catch (error) { return [error.name, pages > 48 && pages < 192, memory.buffer.byteLength === pages * 65536,
            (() => { try { new WebAssembly.Memory({ initial: 10000 }); } catch (error) { return error.name; } })(),
            (() => { const it = instance(BACK, { back: (x) => x }); return [it.grow(99), it.go(7)]; })()]; }",
        r#"["RangeError",true,true,"RangeError",[-1,7]]"#,
    );
    let used = |source: &str| start_under(&allowed(), source).memory_used();
    let without = used("export default {};");
    let with = used("const memory = new WebAssembly.Memory({ initial: 160 }); export default {};");
    assert!(with >= without + (9 << 20), "{without} {with}");
}

#[test]
fn what_lies_outside_of_the_memory_has_bounds_that_say_what_to_do() {
    check_under(
        &allowed(),
        &[("BACK", BACK), ("COUNTER", "(module (memory 0) (func (export \"a\")))")],
        "const tell = (work) => { try { for (let i = 0; i < 1e6; i++) work(i); return 'none'; } catch (error) { return `${error.name}: ${error.message}`.replace(/[0-9]+/, 'N'); } };
        const module = new WebAssembly.Module(COUNTER);
        return [
            tell(() => new WebAssembly.Module(new Uint8Array(2 << 20))),
            tell(() => new WebAssembly.Module(COUNTER)),
            tell(() => new WebAssembly.Instance(module)),
            tell(() => new WebAssembly.Table({ element: 'anyfunc', initial: 5000 })),
            tell(() => new WebAssembly.Global({ value: 'i32' })),
        ];",
        r#"["CompileError: the module has N bytes; at most 1048576 are compiled within a script: make it smaller, or an asset of the package, which compute() runs beside the script","RangeError: a script compiles at most N modules: keep and reuse those there are","RangeError: a script makes at most N instances, which stay until it ends: keep and reuse those there are","RangeError: the tables of a script have at most N entries together: use smaller ones","RangeError: too many WebAssembly instances, functions, tables and globals in one script: keep and reuse those there are"]"#,
    );
}

#[test]
fn a_buffer_is_detached_by_nothing_but_its_memory() {
    check_under(
        &allowed(),
        &[("BACK", BACK)],
        "const tell = (work) => { try { return String(work()); } catch (error) { return error.name; } };
        const it = instance(BACK, { back: () => { tell(() => it.memory.buffer.transfer(0)); it.memory.grow(3); new Uint8Array(it.memory.buffer)[0] = 9; return 0; } });
        const old = it.memory.buffer;
        const { buffer } = it.memory;
        return [tell(() => buffer.transfer()), tell(() => buffer.transferToFixedLength(5)), tell(() => structuredClone(buffer, { transfer: [buffer] })),
            tell(() => ArrayBuffer.prototype.transfer.call(buffer)), tell(() => buffer.resize(1)), buffer.byteLength, it.then(1), old.byteLength, it.memory.buffer.byteLength,
            new ArrayBuffer(8).transfer(4).byteLength, new ArrayBuffer(8).transfer().byteLength, structuredClone(it.memory.buffer).byteLength];",
        r#"["TypeError","TypeError","DataCloneError","TypeError","TypeError",65536,9,0,262144,4,8,262144]"#,
    );
}

#[test]
fn a_script_cannot_change_what_the_api_relies_on() {
    check_under(
        &allowed(),
        &[("BACK", BACK), ("COUNTER", COUNTER)],
        "const poison = () => { throw new Error('poisoned'); };
        for (const prototype of [Object.prototype, Array.prototype, String.prototype]) Object.defineProperty(prototype, 'toJSON', { get: poison, configurable: true });
        const members = ['0', '1', 'get', 'set', 'value', 'number'];
        for (let i = 0; i < members.length; i++) Object.defineProperty(Object.prototype, members[i], { __proto__: null, get: () => undefined, set: poison, configurable: true });
        for (const name of ['push', 'map', Symbol.iterator]) Object.defineProperty(Array.prototype, name, { __proto__: null, value: poison, configurable: true });
        JSON.parse = JSON.stringify = poison; DataView.prototype.setFloat64 = poison; Reflect.construct = poison;
        const it = instance(BACK, { back: (x) => x + 1 });
        const global = new WebAssembly.Global({ value: 'f64', mutable: true }, 2.5);
        global.value = 3.5;
        const table = new WebAssembly.Table({ element: 'anyfunc', initial: 1 }, it.go);
        return `${it.go(1)} ${instance(COUNTER).next()} ${global.value} ${table.get(0) === it.go} ${Object.isFrozen(WebAssembly.Memory)} ${Object.isFrozen(WebAssembly.Memory.prototype)}`;",
        r#""2 1 3.5 true true true""#,
    );
}

#[test]
fn a_script_that_compiles_while_it_is_evaluated_is_evaluated_each_time() {
    for (source, kept) in [
        (
            script(
                &[("COUNTER", COUNTER)],
                "const it = instance(COUNTER); it.next(); export default { run: () => it.next() };",
            ),
            false,
        ),
        (script(&[("COUNTER", COUNTER)], "new WebAssembly.Module(COUNTER); export default { run: () => 2 };"), false),
        (
            script(&[("COUNTER", COUNTER)], "new WebAssembly.Memory({ initial: 1 }); export default { run: () => 2 };"),
            false,
        ),
        (
            script(
                &[("COUNTER", COUNTER)],
                "const valid = WebAssembly.validate(COUNTER); let it; export default { run: () => { it ??= instance(COUNTER); it.next(); return valid ? it.next() : 0; } };",
            ),
            true,
        ),
    ] {
        for _ in 0..3 {
            assert_eq!(run_to_answer(&mut start_under(&allowed(), &source)), r#"{"result":2}"#);
        }
        let globals = Script {
            name: "entresol:globals",
            source: crate::machine::GLOBALS_WITH_WEBASSEMBLY,
            kind: ModuleKind::CommonJs,
        };
        let layers = [
            (crate::machine::Layer::Globals, globals),
            (crate::machine::Layer::Prelude, PRELUDE),
            (crate::machine::Layer::Script, Script { name: "script.js", source: &source, kind: ModuleKind::EsModule }),
        ];
        let sources = layers.map(|(layer, script)| Source {
            layer,
            kind: script.kind,
            name: script.name.to_owned().into(),
            text: script.source.to_owned().into(),
        });
        let found = engine().snapshots().restore(
            engine(),
            &Key::new(&allowed(), &sources),
            Guest::new(allowed(), Box::new(Host)),
        );
        assert_eq!(matches!(found, Ok(Restored::Machine(_))), kept, "{source}");
    }
}

#[test]
fn a_recording_with_modules_in_it_comes_out_the_same() {
    let source = script(
        &[("COUNTER", COUNTER), ("BACK", BACK)],
        "const it = instance(COUNTER); const other = instance(BACK, { back: (x) => x + it.next() + (Math.random() < 2 ? 0 : 1) });
        export default { run() { other.grow(1); try { other.go(Symbol()); } catch {} return [it.next(), other.go(5), Math.random() >= 0]; } };",
    );
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("run");
    let recorder = Recorder::create(&path, "a test").expect("a file");
    let main = Script { name: "script.js", source: &source, kind: ModuleKind::EsModule };
    let (mut instance, _) =
        Instance::start_recorded(engine(), &allowed(), &[PRELUDE], Some(main), Box::new(Host), recorder)
            .expect("starts");
    for _ in 0..3 {
        ask(&mut instance, "run", "null").expect("well");
    }
    instance.finish_recording().expect("whole");
    let recording = Recording::read(&std::fs::read(&path).expect("the file")).expect("it can be read");
    assert!(recording.header.limits.webassembly);
    recording.replay(engine()).expect("the same turn by turn, and the same memory at the end");
}
