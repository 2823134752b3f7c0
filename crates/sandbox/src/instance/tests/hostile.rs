//! Row 15 of the list of attacks: endless work, floods and bombs. Each ends the guest's instance at most.

use super::*;

/// Starts a script whose `run` is hostile and gives what came of calling it, with the instance.
fn provoke(limits: &Limits, body: &str) -> (Instance, Result<Vec<Outgoing>, SandboxError>) {
    let source = format!("export default {{ run() {{ {body} }}, fine: () => 'fine' }};");
    let (mut instance, _) = start_with(limits, ModuleKind::EsModule, &source).expect("starting is harmless");
    let outcome = ask(&mut instance, "run", "null");
    (instance, outcome)
}

/// Asserts that the instance stays dead with the same reason, and that the next one is not affected.
#[track_caller]
fn dead(mut instance: Instance, class: fn(&SandboxError) -> bool) {
    let again = ask(&mut instance, "fine", "null").expect_err("a dead instance answers nothing");
    assert!(class(&again), "{again:?}");
    assert!(again.is_guests_doing());
    assert!(instance.ended().is_some_and(class));
    assert_eq!(instance.memory_used(), 0, "its memory goes with it");
    check("1 + 1", "2");
}

#[track_caller]
fn alive(mut instance: Instance) {
    assert_eq!(messages(ask(&mut instance, "fine", "null").expect("alive")), [r#"{"result":"fine"}"#]);
}

#[test]
fn endless_work_ends_at_the_deadline_and_cannot_be_caught() {
    for body in [
        "for (;;) {}",
        "for (;;) { try { for (;;) {} } catch {} finally { continue; } }",
        "const again = () => { Promise.resolve().then(again); }; again();",
        "(async () => { for (;;) await null; })();",
        "/^(a+)+$/.test('a'.repeat(40) + 'b');",
        "let x = 3n; for (;;) x = x * x % (1n << 60000n);",
        "const a = Array.from({ length: 20000 }, (_, i) => -i); for (;;) a.sort();",
        "const s = 'a'.repeat(4e6); for (;;) s.indexOf('b');",
        "queueMicrotask(function again() { queueMicrotask(again); });",
        "for (;;) new URL('http://a/' + Math.random());",
        "JSON.stringify({ toJSON() { for (;;); } });",
        "Promise.reject({ toString() { for (;;); } });",
    ] {
        let started = Instant::now();
        let (instance, outcome) = provoke(&quick(), body);
        assert!(matches!(outcome, Err(SandboxError::Deadline)), "{body}: {outcome:?}");
        // Generous, as the machine may be busy; without a deadline it would be for ever.
        assert!(started.elapsed() < Duration::from_secs(20), "{body} took {:?}", started.elapsed());
        dead(instance, |error| matches!(error, SandboxError::Deadline));
    }
}

#[test]
fn an_endless_script_does_not_start() {
    let outcome = start_with(&quick(), ModuleKind::EsModule, "for (;;) {}");
    assert!(matches!(outcome, Err(SandboxError::Deadline)), "{outcome:?}");
}

#[test]
fn memory_bombs_hit_an_exact_cap() {
    for body in [
        "const all = []; for (;;) all.push(new Uint8Array(100000));",
        "const all = []; for (;;) { try { all.push('x'.repeat(1000) + Math.random()); } catch {} }",
        "const again = () => Promise.resolve().then(again); again();",
        "let list = null; for (;;) list = { list };",
        "const all = []; for (;;) all.push({});",
        "const m = new Map(); for (let i = 0; ; i++) m.set(i, [i]);",
        "const all = []; queueMicrotask(function more() { for (let i = 0; i < 1000; i++) all.push([i]); queueMicrotask(more); });",
    ] {
        let limits = Limits { turn: Duration::from_secs(60), ..quick() };
        let source =
            format!("export default {{ run() {{ setTimeout(() => {{ {body} }}, 1); }}, fine: () => 'fine' }};");
        let (mut instance, _) = start_with(&limits, ModuleKind::EsModule, &source).expect("starting is harmless");
        let outgoing = ask(&mut instance, "run", "null").expect("nothing yet");
        let Some(Outgoing::Timer { id, .. }) = outgoing.first() else { panic!("{outgoing:?}") };
        let outcome = instance.fire_timer(*id);
        assert!(matches!(outcome, Err(SandboxError::Memory)), "{body}: {outcome:?}");
        dead(instance, |error| matches!(error, SandboxError::Memory));
    }
}

#[test]
fn running_out_of_memory_can_be_caught_and_the_cap_holds() {
    let limits = Limits { turn: Duration::from_secs(60), ..quick() };
    let (mut instance, outcome) = provoke(
        &limits,
        "let n = 0;
         try { for (const all = []; ; n++) all.push(new Uint8Array(1 << 20)); } catch (e) { return [e.name, n > 5 && n < 16]; }",
    );
    assert_eq!(messages(outcome.expect("caught")), [r#"{"result":["InternalError",true]}"#]);
    assert!(instance.memory_used() <= limits.memory_bytes);
    assert_eq!(messages(ask(&mut instance, "fine", "null").expect("alive")), [r#"{"result":"fine"}"#]);
}

#[test]
fn too_small_a_memory_is_refused_at_once() {
    let small = Limits { memory_bytes: Limits::LEAST_MEMORY - 1, ..limits() };
    assert!(matches!(start_with(&small, ModuleKind::EsModule, ""), Err(SandboxError::Memory)));
    let least = Limits { memory_bytes: Limits::LEAST_MEMORY, ..limits() };
    let (mut instance, _) =
        start_with(&least, ModuleKind::EsModule, "export default { run: () => 1 };").expect("the least is enough");
    assert_eq!(run_to_answer(&mut instance), r#"{"result":1}"#);
    assert!(instance.memory_used() <= Limits::LEAST_MEMORY);
}

#[test]
fn recursion_is_a_range_error_that_can_be_caught() {
    for body in [
        "let n = 0; const f = () => { n++; f(); }; try { f(); } catch (e) { return [e.name, n > 500]; }",
        "let n = 0; const o = { get x() { n++; return this.x; } }; try { o.x; } catch (e) { return [e.name, n > 500]; }",
        "let n = 0; const p = new Proxy({}, { get(t, k, r) { n++; return r[k]; } }); try { p.x; } catch (e) { return [e.name, n > 100]; }",
        "let n = 0; const f = (a) => { n++; [1].map(f); }; try { f(); } catch (e) { return [e.name, n > 100]; }",
        "let n = 0; const f = () => 'x'.replace(/x/, () => { n++; return f(); }); try { f(); } catch (e) { return [e.name, n > 100]; }",
        "let n = 0; const o = { toJSON() { n++; return JSON.stringify(o); } }; try { JSON.stringify(o); } catch (e) { return [e.name, n > 100]; }",
    ] {
        let (instance, outcome) = provoke(&limits(), body);
        assert_eq!(messages(outcome.expect("an ordinary error")), [r#"{"result":["RangeError",true]}"#], "{body}");
        alive(instance);
    }
}

#[test]
fn deep_nesting_ends_the_guest_and_not_the_process() {
    for body in [
        "JSON.parse('['.repeat(200000));",
        "new RegExp('('.repeat(100000) + ')'.repeat(100000));",
        "let o = {}; for (let i = 0; i < 200000; i++) o = { o }; return JSON.stringify(o).length;",
        "let o = {}; for (let i = 0; i < 200000; i++) o = { o }; return structuredClone(o) !== o;",
        "let o = {}; for (let i = 0; i < 200000; i++) o = [o]; return `${o}`;",
        "let f = () => {}; for (let i = 0; i < 50000; i++) { delete f.name; f = f.bind(null); } f();",
        "let p = {}; for (let i = 0; i < 50000; i++) p = new Proxy(p, {}); p.x;",
    ] {
        let (instance, outcome) = provoke(&Limits { turn: Duration::from_secs(60), ..limits() }, body);
        match outcome {
            Ok(outgoing) => {
                let answers = messages(outgoing);
                assert!(matches!(&answers[..], [answer] if answer.contains("Error")), "{body}: {answers:?}");
                alive(instance);
            }
            Err(SandboxError::Stack) => dead(instance, |error| matches!(error, SandboxError::Stack)),
            Err(other) => panic!("{body}: {other:?}"),
        }
    }
}

#[test]
fn huge_messages_are_refused_in_both_directions() {
    let (mut instance, outcome) = provoke(&limits(), "return 'x'.repeat(2 << 20);");
    // The glue's own post threw within a promise reaction: an unhandled rejection, and no message.
    let refused = |one: &Outgoing| matches!(one, Outgoing::Uncaught { message, .. } if message.starts_with("RangeError: the message of"));
    assert!(matches!(&outcome, Ok(outgoing) if matches!(&outgoing[..], [one] if refused(one))), "{outcome:?}");
    let huge = vec![b'x'; (1 << 20) + 1];
    assert!(matches!(instance.turn(&huge), Err(SandboxError::MessageTooLarge)));
    let mut largest = br#"{"name":"fine","value":""#.to_vec();
    largest.resize((1 << 20) - 2, b'x');
    largest.extend_from_slice(br#""}"#);
    assert_eq!(messages(instance.turn(&largest).expect("alive")), [r#"{"result":"fine"}"#]);
}

#[test]
fn a_flood_of_messages_ends_the_instance() {
    let glue = Script {
        name: "glue.js",
        kind: ModuleKind::CommonJs,
        source: "boundary.onMessage = (n) => { for (let i = 0; i < n; i++) { try { boundary.post('m'); } catch {} } };",
    };
    let (mut instance, _) = Instance::start(engine(), &limits(), &[glue], None, Box::new(Host)).expect("starts");
    assert_eq!(messages(instance.turn(b"1000").expect("as many as allowed")).len(), 1000);
    assert_eq!(messages(instance.turn(b"1000").expect("the count starts anew")).len(), 1000);
    assert!(matches!(instance.turn(b"1001"), Err(SandboxError::TooManyMessages)));
    assert!(matches!(instance.turn(b"1"), Err(SandboxError::TooManyMessages)));
}

#[test]
fn a_flood_of_large_messages_ends_the_instance() {
    let glue = Script {
        name: "glue.js",
        kind: ModuleKind::CommonJs,
        source: "const large = 'm'.repeat(1000); boundary.onMessage = (n) => { for (let i = 0; i < n; i++) boundary.post(large); };",
    };
    let limits = Limits { message_bytes: 1000, ..limits() };
    let (mut instance, _) = Instance::start(engine(), &limits, &[glue], None, Box::new(Host)).expect("starts");
    assert_eq!(messages(instance.turn(b"16").expect("as many as allowed")).len(), 16);
    assert_eq!(messages(instance.turn(b"16").expect("the count starts anew")).len(), 16);
    assert!(matches!(instance.turn(b"17"), Err(SandboxError::TooManyMessages)));
}

#[test]
fn a_timer_storm_ends_the_instance_and_waiting_timers_are_capped() {
    let (instance, outcome) = provoke(&limits(), "for (;;) clearTimeout(setTimeout(() => {}));");
    assert!(matches!(outcome, Err(SandboxError::TooManyMessages)), "{outcome:?}");
    dead(instance, |error| matches!(error, SandboxError::TooManyMessages));
    let few = Limits { timers: 10, ..limits() };
    let (_, outcome) =
        provoke(&few, "let n = 0; try { for (;;) { setTimeout(() => {}); n++; } } catch (e) { return [n, e.name]; }");
    assert_eq!(messages(outcome.expect("an ordinary error")), [r#"{"result":[10,"RangeError"]}"#]);
}

#[test]
fn a_log_flood_is_cut_and_counted() {
    let (instance, outcome) = provoke(
        &limits(),
        "for (let i = 0; i < 100000; i++) console.log('flood', i); console.log('y'.repeat(1e6)); return 1;",
    );
    let outgoing = outcome.expect("logging too much is no crime");
    let bytes: usize =
        outgoing.iter().map(|one| if let Outgoing::Log { text, .. } = one { text.len() } else { 0 }).sum();
    assert!(bytes <= limits().log_bytes_per_turn + 100, "{bytes}");
    assert!(outgoing.len() < 3000, "{}", outgoing.len());
    assert!(
        matches!(outgoing.last(), Some(Outgoing::Log { level: LogLevel::Warn, text }) if text.contains("were dropped"))
    );
    alive(instance);
    let (instance, outcome) = provoke(&limits(), "for (let i = 0; i < 50000; i++) Promise.reject(new Error('r' + i));");
    assert!(outcome.expect("the instance goes on").len() < 3000);
    alive(instance);
}

#[test]
fn a_neighbour_answers_while_another_guest_burns_its_turn() {
    let mut neighbour = start("export default { run: () => 'here' };");
    let burning = std::thread::spawn(|| provoke(&Limits { turn: Duration::from_secs(3), ..quick() }, "for (;;) {}").1);
    let mut answered = 0;
    while !burning.is_finished() {
        assert_eq!(run_to_answer(&mut neighbour), r#"{"result":"here"}"#);
        answered += 1;
    }
    assert!(answered > 10, "only {answered} answers in three seconds");
    assert!(matches!(burning.join().expect("no panic"), Err(SandboxError::Deadline)));
}

#[test]
fn the_deadline_starts_anew_with_each_turn() {
    let limits = Limits { turn: Duration::from_secs(1), ..limits() };
    let source = "export default { run() { for (let i = 0; i < 2000; i++) Math.sqrt(i); return 1; } };";
    let (mut instance, _) = start_with(&limits, ModuleKind::EsModule, source).expect("starts");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        assert_eq!(run_to_answer(&mut instance), r#"{"result":1}"#);
    }
}
