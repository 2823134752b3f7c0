//! Instances that begin with a snapshot: the same as others in everything but the time they take.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// An engine with a directory of its own.
fn engine_in(dir: &Path) -> Engine {
    Engine::new(Some(dir)).expect("the committed engine compiles")
}

fn files(dir: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(dir).expect("the directory is there").map(|entry| entry.expect("an entry").path());
    let snapshots = entries.filter(|path| path.extension().is_some_and(|ending| ending == "snapshot"));
    snapshots.map(|path| std::fs::read(path).expect("a file")).collect()
}

fn begin(engine: &Engine, source: &str, host: impl HostCalls + 'static) -> (Instance, Vec<Outgoing>) {
    let script = Script { name: "script.js", source, kind: ModuleKind::EsModule };
    Instance::start(engine, &limits(), &[PRELUDE], Some(script), Box::new(host)).expect("the script starts")
}

/// An instance that has evaluated everything itself and goes on with that.
fn evaluated(engine: &Engine, limits: &Limits, source: &str) -> (Instance, Vec<Outgoing>) {
    let one = |layer, script: &Script<'_>| Source {
        layer,
        kind: script.kind,
        name: script.name.to_owned().into(),
        text: script.source.to_owned().into(),
    };
    let globals = Script { name: "entresol:globals", source: crate::machine::GLOBALS, kind: ModuleKind::CommonJs };
    let script = Script { name: "script.js", source, kind: ModuleKind::EsModule };
    let sources = vec![one(Layer::Globals, &globals), one(Layer::Prelude, &PRELUDE), one(Layer::Script, &script)];
    let guest = Guest::new(limits.clone(), Box::new(Host));
    let account = Account::new(limits);
    let (machine, outgoing) = Instance::evaluated(engine, &account, guest, sources.into()).expect("evaluated");
    (Instance { engine: engine.clone(), account, state: State::Alive(machine), recorder: None }, outgoing)
}

/// The whole memory. What calls that are over left on the stack is no state, and a snapshot has none of it.
fn memory(instance: &mut Instance) -> Vec<u8> {
    let stack = instance.engine.stack();
    let State::Alive(machine) = &mut instance.state else { panic!("{:?}", instance.ended()) };
    machine.wipe_dead_stack(stack);
    machine.memory.data(&machine.store).to_vec()
}

const BUSY: &str = "
    console.log('evaluated', [1, { a: 2n }]);
    setTimeout(() => { state.fired = true; }, 50);
    clearTimeout(setTimeout(() => {}, 5));
    Promise.reject(new Error('nobody cares'));
    const state = { list: [], map: new Map([['k', { v: 1 }]]), weak: new WeakMap(), count: 0 };
    class Thing { #hidden = 1; bump() { return ++this.#hidden; } }
    const thing = new Thing();
    const numbers = (function* () { for (let i = 0; ; i++) yield i; })();
    const regexp = /(\\d+)-(?<word>\\w+)/gy;
    let waiting = null;
    export default {
        touch(n) {
            for (let i = 0; i < n; i++) state.list.push({ i, text: 'x'.repeat(i % 100), big: BigInt(i) ** 20n });
            state.map.set(`k${n}`, state.list.length);
            return [thing.bump(), numbers.next().value, state.list.length, regexp.exec('12-ab')?.groups?.word ?? null];
        },
        draw() { return [Math.random(), crypto.randomUUID(), Date.now(), new Date().toISOString()]; },
        drop() { state.list.length = 0; return [...state.map.keys()]; },
        wait() { return new Promise((resolve) => { waiting = resolve; }); },
        wake() { waiting('woken'); return state.fired === true; },
        fail() { null.x; },
        grow() { const all = []; for (let i = 0; i < 40; i++) all.push(new Uint8Array(1 << 18).fill(i)); return all.length; },
        source() { return Object.keys(globalThis).length + new Error('here').stack; },
    };";

#[test]
fn a_restored_instance_behaves_bit_for_bit_like_a_fresh_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = engine_in(&dir.path().join("cache"));
    let (mut fresh, said) = evaluated(&first, &limits(), BUSY);
    // The one that made the snapshot, one from memory, one from disk.
    let (settled, a) = begin(&first, BUSY, Host);
    let (held, b) = begin(&first, BUSY, Host);
    assert_eq!(files(&dir.path().join("cache")).len(), 1);
    let (read, c) = begin(&engine_in(&dir.path().join("cache")), BUSY, Host);
    assert!(said.len() == 5 && said.iter().any(|one| matches!(one, Outgoing::Uncaught { .. })), "{said:?}");
    assert_eq!([&a, &b, &c], [&said; 3]);
    let Some(Outgoing::Timer { id, .. }) = said.iter().find(|one| matches!(one, Outgoing::Timer { delay_ms: 50, .. }))
    else {
        panic!("{said:?}")
    };
    let mut others = [settled, held, read];
    let start = memory(&mut fresh);
    for (index, other) in others.iter_mut().enumerate() {
        assert!(memory(other) == start, "instance {index} begins with another memory");
    }
    for (name, value) in [
        ("touch", "3"),
        ("draw", "null"),
        ("wait", "null"),
        ("touch", "2000"),
        ("fail", "null"),
        ("drop", "null"),
        ("grow", "null"),
        ("source", "null"),
        ("draw", "null"),
        ("touch", "700"),
        ("wake", "null"),
    ] {
        let expected = ask(&mut fresh, name, value);
        let after = memory(&mut fresh);
        for (index, other) in others.iter_mut().enumerate() {
            let got = ask(other, name, value);
            assert_eq!(format!("{got:?}"), format!("{expected:?}"), "{name} in instance {index}");
            assert!(memory(other) == after, "{name} left another memory in instance {index}");
        }
        if name == "touch" && value == "2000" {
            let fired = format!("{:?}", fresh.fire_timer(*id));
            for other in &mut others {
                assert_eq!(format!("{:?}", other.fire_timer(*id)), fired);
            }
        }
    }
    let woken = messages(ask(&mut fresh, "wake", "null").expect("well"));
    assert_eq!(woken, [r#"{"result":true}"#], "the timer of the evaluation has fired");
}

#[test]
fn row_16_two_instances_of_one_snapshot_do_not_see_each_other() {
    let source = "
        const secret = []; let held = 'x'.repeat(100000);
        export default {
            put(v) { secret.push(v); globalThis.mark = v; Object.prototype.leak = v; held = held.replaceAll('x', v[0]); return 1; },
            get: () => [secret, typeof globalThis.mark, typeof ({}).leak, held.slice(0, 3)],
        };";
    let (mut one, _) = begin(engine(), source, Host);
    let (mut two, _) = begin(engine(), source, Host);
    let get = |instance: &mut Instance| messages(ask(instance, "get", "null").expect("well"));
    let untouched = [r#"{"result":[[],"undefined","undefined","xxx"]}"#];
    ask(&mut one, "put", "\"one's own\"").expect("well");
    assert_eq!(get(&mut two), untouched);
    ask(&mut two, "put", "\"two's own\"").expect("well");
    assert_eq!(get(&mut one), [r#"{"result":[["one's own"],"string","string","ooo"]}"#]);
    // Nor does what both did show in one that begins afterwards.
    let (mut three, _) = begin(engine(), source, Host);
    assert_eq!(get(&mut three), untouched);
    drop(one);
    assert_eq!(get(&mut two), [r#"{"result":[["two's own"],"string","string","ttt"]}"#]);
}

/// The operating system's randomness and a clock that each use moves on.
struct Own {
    now: AtomicU64,
}

impl Own {
    fn at(now: u64) -> Self {
        Self { now: AtomicU64::new(now) }
    }
}

impl HostCalls for Own {
    fn call(&mut self, name: &str, payload: &[u8]) -> Result<Vec<u8>, String> {
        Host.call(name, payload)
    }

    fn is_pure(&self, name: &str) -> bool {
        name == "echo"
    }

    fn now_millis(&mut self) -> u64 {
        self.now.fetch_add(1000, Ordering::Relaxed)
    }
}

#[test]
fn randomness_and_the_clock_are_each_instances_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let cache = dir.path().join("cache");
    let source = "export default {
        draw: () => [Math.random(), crypto.randomUUID(), [...crypto.getRandomValues(new Uint8Array(8))].join(), [1, 2, 3, 4, 5, 6, 7, 8, 9].sort(() => Math.random() - 0.5).join() + Math.random()],
        now: () => Date.now(),
    };";
    let (first, second) = (engine_in(&cache), engine_in(&cache));
    let mut instances: Vec<_> = [&first, &first, &first, &second, &second]
        .into_iter()
        .enumerate()
        .map(|(index, engine)| begin(engine, source, Own::at(1_000_000 * index as u64)).0)
        .collect();
    assert_eq!(files(&cache).len(), 1, "they have one snapshot");
    let mut drawn = std::collections::HashSet::new();
    for (index, instance) in instances.iter_mut().enumerate() {
        assert!(drawn.insert(messages(ask(instance, "draw", "null").expect("well"))), "the same randomness twice");
        assert!(drawn.insert(messages(ask(instance, "draw", "null").expect("well"))), "the same randomness again");
        let now = messages(ask(instance, "now", "null").expect("well"));
        assert_eq!(now, [format!(r#"{{"result":{}}}"#, 1_000_000 * index)]);
    }
}

#[test]
fn a_script_that_asks_for_randomness_or_the_clock_while_it_is_evaluated_is_evaluated_each_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let cache = dir.path().join("cache");
    let engine = engine_in(&cache);
    for expression in [
        "Math.random()",
        "crypto.randomUUID()",
        "crypto.getRandomValues(new Uint32Array(4)).join()",
        "Date.now()",
        "new Date().getTime()",
        "Date()",
        "await Promise.resolve().then(() => Math.random())",
        "Reflect.construct(Date, [])",
    ] {
        let source = format!("const kept = {expression}; export default {{ run: () => kept }};");
        let mut lives: Vec<_> =
            (0..2).map(|life| begin(&engine, &source, Own::at(1_000_000_000 + life * 1_000_000)).0).collect();
        let answers: Vec<_> = lives.iter_mut().map(run_to_answer).collect();
        assert_ne!(answers[0], answers[1], "{expression}: both lives have the same");
        assert_eq!(run_to_answer(&mut lives[0]), answers[0], "{expression}");
        assert_eq!(files(&cache).len(), 0, "{expression} left a snapshot");
    }
    // A date that is said is no clock.
    begin(&engine, "const kept = new Date(2020, 1, 1).getTime(); export default { run: () => kept };", Own::at(0));
    assert_eq!(files(&cache).len(), 1);
}

#[test]
fn a_script_that_throws_away_what_it_drew_gets_a_snapshot_with_nothing_of_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let cache = dir.path().join("cache");
    let engine = engine_in(&cache);
    // As the curves of noble do when they are loaded: is there randomness?
    let source = "
        const probe = () => { try { return crypto.getRandomValues(new Uint8Array(16)).length; } catch { return 0; } };
        const blinded = (x) => { let r = 0; for (const b of crypto.getRandomValues(new Uint8Array(48))) r += b; return x + r - r; };
        const there = probe(), y = blinded(42), year = new Date().getFullYear() > 1900;
        const draw = () => crypto.randomUUID();
        export default { run: () => [there, String(y), year], draw };";
    let mut lives: Vec<_> =
        (0..3).map(|life| begin(&engine, source, Own::at(1_000_000_000_000 + life * 5_000)).0).collect();
    assert_eq!(files(&cache).len(), 1);
    let mut drawn = std::collections::HashSet::new();
    for life in &mut lives {
        assert_eq!(run_to_answer(life), r#"{"result":[16,"42",true]}"#);
        assert!(drawn.insert(messages(ask(life, "draw", "null").expect("well"))));
    }
    // Randomness that is the same each time shows as well: the compared evaluations are told other.
    let keeps = "const kept = crypto.getRandomValues(new Uint8Array(16)); export default { run: () => kept.join() };";
    begin(&engine, keeps, Host);
    assert_eq!(files(&cache).len(), 1);
}

#[test]
fn host_calls_of_an_evaluation_are_repeated_unless_they_are_pure() {
    let dir = tempfile::tempdir().expect("a directory");
    let cache = dir.path().join("cache");
    let engine = engine_in(&cache);
    let glue = |name: &str| format!("{GLUE} crypto.kept = boundary.call('{name}', 'abc');");
    let run = |name: &str| {
        let source = glue(name);
        let glue = Script { name: "glue.js", source: &source, kind: ModuleKind::CommonJs };
        let script =
            Script { name: "script.js", source: "export const run = () => crypto.kept;", kind: ModuleKind::EsModule };
        let (mut instance, _) =
            Instance::start(&engine, &limits(), &[glue], Some(script), Box::new(Own::at(0))).expect("starts");
        run_to_answer(&mut instance)
    };
    assert_eq!((run("reverse"), run("reverse")), (r#"{"result":"cba"}"#.to_owned(), r#"{"result":"cba"}"#.to_owned()));
    assert_eq!(files(&cache).len(), 0);
    assert_eq!((run("echo"), run("echo")), (r#"{"result":"abc"}"#.to_owned(), r#"{"result":"abc"}"#.to_owned()));
    assert_eq!(files(&cache).len(), 1);
}

#[test]
fn the_memory_cap_is_as_exact_as_without_a_snapshot() {
    let source = "const ballast = new Uint8Array(3 << 20).fill(1);
        export default {
            fill() { let n = 0; try { for (const all = []; ; n++) all.push(new Uint8Array(1 << 16).fill(n)); } catch { return n; } },
            burst() { let list = null; for (;;) list = { list, ballast }; },
        };";
    for megabytes in [8, 9, 16] {
        let limits = Limits { memory_bytes: megabytes << 20, turn: Duration::from_secs(60), ..limits() };
        let script = Script { name: "script.js", source, kind: ModuleKind::EsModule };
        let restored =
            || Instance::start(engine(), &limits, &[PRELUDE], Some(script), Box::new(Host)).expect("starts").0;
        let mut all = [evaluated(engine(), &limits, source).0, restored(), restored()];
        let mut filled: Vec<_> =
            all.iter_mut().map(|one| messages(ask(one, "fill", "null").expect("caught"))).collect();
        let used: Vec<_> = all.iter().map(Instance::memory_used).collect();
        filled.dedup();
        assert_eq!(filled.len(), 1, "{filled:?}");
        assert_eq!(used, [used[0]; 3]);
        assert!(used[0] <= limits.memory_bytes, "{used:?}");
        for one in &mut all {
            assert!(matches!(ask(one, "burst", "null"), Err(SandboxError::Memory)));
            assert!(matches!(one.ended(), Some(SandboxError::Memory)));
        }
        // A neighbour of the dead begins as if nothing had been.
        assert_eq!(messages(ask(&mut restored(), "fill", "null").expect("caught")), filled[0]);
    }
}

#[test]
fn row_21_no_user_data_lies_in_a_snapshot() {
    const CANARY: &str = "canary-0x7e57ab1ec0ffee";
    struct Tells;
    impl HostCalls for Tells {
        fn call(&mut self, _: &str, _: &[u8]) -> Result<Vec<u8>, String> {
            Ok(CANARY.as_bytes().to_vec())
        }
    }
    let dir = tempfile::tempdir().expect("a directory");
    let cache = dir.path().join("cache");
    let engine = engine_in(&cache);
    let glue = Script {
        name: "glue.js",
        source: "let kept = []; const marker = 'what everybody has'; boundary.onMessage = (text) => { kept.push(text, boundary.call('ask'), marker); boundary.post(kept.join()); };",
        kind: ModuleKind::CommonJs,
    };
    let start = || Instance::start(&engine, &limits(), &[glue], None, Box::new(Tells)).expect("starts").0;
    for _ in 0..3 {
        let mut instance = start();
        let said = messages(instance.turn(CANARY.as_bytes()).expect("well"));
        assert_eq!(said, [format!("{CANARY},{CANARY},what everybody has")], "an earlier life shows");
    }
    drop(start());
    let has = |file: &[u8], text: &str| file.windows(text.len()).any(|window| window == text.as_bytes());
    let files = files(&cache);
    assert_eq!(files.len(), 1);
    assert!(has(&files[0], "what everybody has"), "the search would find text");
    assert!(!has(&files[0], CANARY));
    let mut image = start();
    assert!(!has(&memory(&mut image), CANARY));
}

#[test]
#[allow(clippy::disallowed_methods, reason = "the test damages files on purpose")]
fn a_damaged_file_means_that_the_script_is_evaluated_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let cache = dir.path().join("cache");
    let source = "export default { run: () => 'as ever' };";
    let answer = || run_to_answer(&mut begin(&engine_in(&cache), source, Host).0);
    assert_eq!(answer(), r#"{"result":"as ever"}"#);
    let good = files(&cache).remove(0);
    let path = std::fs::read_dir(&cache)
        .expect("there")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.extension().is_some_and(|ending| ending == "snapshot"))
        .expect("the file");
    // A byte of the memory, in the middle: were it taken, the engine would run on it.
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 0x40;
    for bad in [flipped, good[..good.len() - 5].to_vec(), Vec::new()] {
        std::fs::write(&path, &bad).expect("written");
        assert_eq!(answer(), r#"{"result":"as ever"}"#);
        assert!(files(&cache) == [good.clone()], "the same bytes are written again");
    }
}

#[test]
fn a_script_that_fails_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let cache = dir.path().join("cache");
    let engine = engine_in(&cache);
    for source in [
        "throw new Error('no');",
        "await new Promise(() => {});",
        "for (;;) {}",
        "const all = []; for (;;) all.push({});",
    ] {
        let script = Script { name: "script.js", source, kind: ModuleKind::EsModule };
        let limits = Limits { memory_bytes: 8 << 20, turn: Duration::from_millis(500), ..limits() };
        for _ in 0..2 {
            Instance::start(&engine, &limits, &[PRELUDE], Some(script), Box::new(Host))
                .expect_err("it fails each time");
        }
    }
    assert_eq!(files(&cache).len(), 0);
}
