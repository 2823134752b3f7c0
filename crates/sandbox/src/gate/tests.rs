//! Real instances on real threads: who runs, who waits, and what is charged.

use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::Gate;
use crate::account::{Account, Meter};
use crate::{Engine, HostCalls, Input, Instance, Limits, ModuleKind, Outgoing, Runner, SandboxError, Script};

/// Reached only when a test fails.
const DEADLINE: Duration = Duration::from_secs(120);
const FOR_EVER: Duration = Duration::from_secs(3600);

/// One for these tests alone: those of other modules would be neighbours.
fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(None).expect("the committed engine compiles"))
}

/// Tells when the instance is gone.
struct Host {
    _gone: Option<Sender<()>>,
}

impl HostCalls for Host {
    fn call(&mut self, _: &str, _: &[u8]) -> Result<Vec<u8>, String> {
        panic!("asked to")
    }
}

/// `work` milliseconds of arithmetic cannot be had in a script without a clock: it gets rounds.
const GLUE: &str = "boundary.onMessage = (text) => {
    if (text === 'loop') for (;;);
    if (text === 'panic') boundary.call('panic', '');
    let n = 0;
    for (let i = 0; i < Number(text); i++) n += i;
    boundary.post(text);
};";

fn start(limits: &Limits) -> Instance {
    start_watched(limits).0
}

fn start_watched(limits: &Limits) -> (Instance, Receiver<()>) {
    let (sender, gone) = channel();
    let glue = Script { name: "glue.js", source: GLUE, kind: ModuleKind::CommonJs };
    let host = Box::new(Host { _gone: Some(sender) });
    (Instance::start(engine(), limits, &[glue], None, host).expect("it starts").0, gone)
}

fn text(text: &str) -> Input {
    Input::Message(text.as_bytes().to_vec())
}

fn posted(words: &str) -> Vec<Outgoing> {
    vec![Outgoing::Message(words.as_bytes().to_vec())]
}

fn next(runner: &mut Runner) -> Option<Result<Vec<Outgoing>, SandboxError>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(DEADLINE, runner.next()).await.expect("an outcome in time") })
}

#[track_caller]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_runner_gives_an_outcome_for_each_input_in_order_and_then_its_end() {
    let mut runner = start(&Limits { turn: Duration::from_millis(200), ..Limits::default() }).into_runner();
    for number in 0..500 {
        runner.send(text(&number.to_string())).expect("alive");
    }
    assert!(matches!(runner.send(Input::Message(vec![b'x'; (1 << 20) + 1])), Err(SandboxError::MessageTooLarge)));
    runner.send(Input::Timer(7)).expect("a timer nobody ordered is none");
    runner.send(text("loop")).expect("alive");
    runner.send(text("1")).expect("alive, as far as is known");
    for number in 0..500 {
        let outgoing = next(&mut runner).expect("alive").expect("well");
        assert_eq!(outgoing, posted(&number.to_string()));
    }
    assert_eq!(next(&mut runner).expect("alive").expect("well"), []);
    assert!(matches!(next(&mut runner), Some(Err(SandboxError::Deadline))));
    assert!(next(&mut runner).is_none(), "nothing runs behind the turn that broke the limit");
    assert!(matches!(runner.send(text("1")), Err(SandboxError::Deadline)));
    assert_eq!(runner.meter().read().memory, 0);
}

#[test]
fn a_panic_of_the_embedder_ends_the_instance_and_not_the_thread() {
    let mut runner = start(&Limits::default()).into_runner();
    runner.send(text("panic")).expect("alive");
    let end = next(&mut runner).expect("a reason").expect_err("it has ended");
    assert!(!end.is_guests_doing(), "{end:?}");
    assert!(next(&mut runner).is_none());
    assert_eq!(start(&Limits::default()).turn(b"5").expect("others go on"), posted("5"));
}

#[test]
fn an_embedder_that_does_not_read_is_not_buried() {
    let mut runner = start(&Limits::default()).into_runner();
    for _ in 0..1000 {
        runner.send(text("0")).expect("alive");
    }
    let meter = runner.meter();
    // As many turns as results may wait.
    until("it pauses", || meter.read().turns == 64);
    start(&Limits::default()).turn(b"100000").expect("others go on");
    assert_eq!(meter.read().turns, 64);
    for _ in 0..1000 {
        assert_eq!(next(&mut runner).expect("alive").expect("well"), posted("0"));
    }
}

#[test]
fn dropping_a_runner_ends_its_turn_whether_it_runs_or_waits() {
    let limits = Limits { turn: FOR_EVER, ..Limits::default() };
    let many = 3 * std::thread::available_parallelism().map_or(1, usize::from);
    let (mut runners, mut gone) = (Vec::new(), Vec::new());
    for _ in 0..many {
        let (instance, signal) = start_watched(&limits);
        let runner = instance.into_runner();
        runner.send(text("loop")).expect("alive");
        runners.push(runner);
        gone.push(signal);
    }
    let meters: Vec<_> = runners.iter().map(Runner::meter).collect();
    until("each has begun", || meters.iter().all(|meter| meter.read().turns == 1));
    drop(runners);
    for signal in gone {
        assert!(
            signal.recv_timeout(DEADLINE).is_err_and(|error| error == std::sync::mpsc::RecvTimeoutError::Disconnected)
        );
    }
}

#[test]
fn a_stop_while_it_works_is_told_apart_from_an_idle_instance() {
    let mut runner = start(&Limits::default()).into_runner();
    runner.send(text("3")).expect("alive");
    assert_eq!(next(&mut runner).expect("alive").expect("well"), posted("3"));
    let mut back = None;
    let mut runner = Some(runner);
    until("the visit is over", || match runner.take().map(Runner::into_instance) {
        Some(Ok(instance)) => {
            back = Some(instance);
            true
        }
        Some(Err(still)) => {
            runner = Some(still);
            false
        }
        None => true,
    });
    assert_eq!(back.expect("the instance").turn(b"4").expect("it goes on"), posted("4"));
    let busy = start(&Limits { turn: FOR_EVER, ..Limits::default() }).into_runner();
    busy.send(text("loop")).expect("alive");
    assert!(busy.into_instance().is_err(), "it works");
}

#[test]
fn endless_turns_share_the_cores_evenly() {
    let limits = Limits { turn: FOR_EVER, cpu_burst: FOR_EVER, ..Limits::default() };
    let runners: Vec<_> = (0..6).map(|_| start(&limits).into_runner()).collect();
    for runner in &runners {
        runner.send(text("loop")).expect("alive");
    }
    let used = || runners.iter().map(|runner| runner.meter().read().cpu).collect::<Vec<_>>();
    until("they have run for a while", || used().iter().sum::<Duration>() > Duration::from_secs(2));
    let used = used();
    let (least, most) = (used.iter().min().expect("six"), used.iter().max().expect("six"));
    // Each has had a third of a second. Apart by some slices; without the gate it is whole turns.
    assert!(*most - *least < Duration::from_millis(100), "{used:?}");
}

#[test]
fn waiting_for_others_is_not_counted_against_the_turn() {
    let turn = Duration::from_millis(200);
    let limits = Limits { turn, ..Limits::default() };
    let mut runners: Vec<_> = (0..8).map(|_| start(&limits).into_runner()).collect();
    for runner in &runners {
        runner.send(text("loop")).expect("alive");
    }
    for runner in &mut runners {
        assert!(matches!(next(runner), Some(Err(SandboxError::Deadline))));
        let usage = runner.meter().read();
        assert!(usage.cpu >= turn && usage.longest_turn >= turn, "each had its own time: {usage:?}");
    }
}

#[test]
fn a_used_up_share_of_cpu_holds_back_and_does_not_end() {
    let began = Instant::now();
    let burst = Duration::from_millis(20);
    let limits = Limits { cpu_percent: 4, cpu_burst: burst, turn: FOR_EVER, ..Limits::default() };
    let mut runner = start(&limits).into_runner();
    // A long turn is held back in its middle, short ones in between.
    for work in ["600000", "1", "200000", "1"] {
        runner.send(text(work)).expect("alive");
        assert_eq!(next(&mut runner).expect("alive").expect("well"), posted(work));
    }
    let usage = runner.meter().read();
    assert_eq!(usage.turns, 4);
    assert!(usage.throttled > Duration::ZERO, "{usage:?}");
    // What it used at once, and its share of the time since; one more tick at most.
    let most = burst + began.elapsed() / 25 + Limits::TICK;
    assert!(usage.cpu <= most, "{usage:?}, at most {most:?}");
}

#[test]
fn one_that_is_held_back_can_be_dropped() {
    let limits = Limits { cpu_percent: 1, cpu_burst: Duration::ZERO, turn: FOR_EVER, ..Limits::default() };
    let (instance, gone) = start_watched(&limits);
    let runner = instance.into_runner();
    let meter = runner.meter();
    runner.send(text("loop")).expect("alive");
    until("it has run", || meter.read().cpu > Duration::from_millis(20));
    drop(runner);
    assert_eq!(gone.recv_timeout(DEADLINE), Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
}

#[test]
fn whoever_waits_for_another_thread_leaves_the_core_to_others_and_pays_for_it() {
    let wasmtime = wasmtime::Engine::default();
    let gate = Gate::start(&wasmtime, 1).expect("a gate");
    let [first, second] = [(); 2].map(|()| Account::new(&Limits::default()));
    let elsewhere = Duration::from_millis(700);
    let (left, is_away) = channel();
    let (ran, has_run) = channel();
    let (told, outcome) = channel();
    gate.submit(
        &first,
        Box::new(move |permit| {
            let mut permit = permit.expect("a permit");
            permit.begin_turn(FOR_EVER);
            let (others, went_on) = permit.away(|| {
                left.send(()).expect("the test waits");
                (has_run.recv_timeout(DEADLINE), elsewhere)
            });
            told.send((others, went_on.is_ok())).expect("the test waits");
        }),
    );
    is_away.recv_timeout(DEADLINE).expect("it waits for the other thread");
    gate.submit(
        &second,
        Box::new(move |permit| {
            drop(permit.expect("the only permit"));
            ran.send(()).expect("the first waits");
        }),
    );
    assert_eq!(outcome.recv_timeout(DEADLINE), Ok((Ok(()), true)));
    assert!(Meter { account: first }.read().cpu >= elsewhere);
}

#[test]
fn a_turn_whose_work_elsewhere_took_too_long_is_over() {
    let gate = Gate::start(&wasmtime::Engine::default(), 1).expect("a gate");
    let (told, outcome) = channel();
    gate.submit(
        &Account::new(&Limits::default()),
        Box::new(move |permit| {
            let mut permit = permit.expect("a permit");
            permit.begin_turn(Duration::from_millis(50));
            let _ = told.send(permit.away(|| ((), Duration::from_millis(51))).1);
        }),
    );
    assert!(matches!(outcome.recv_timeout(DEADLINE), Ok(Err(SandboxError::Deadline))));
}

/// The ticker once slept until the share of one that is held back had filled, whoever began meanwhile.
#[test]
fn row_15_a_turn_ends_in_time_while_another_is_held_back_for_long() {
    let engine = Engine::new(None).expect("the committed engine compiles");
    let glue = Script { name: "glue.js", source: GLUE, kind: ModuleKind::CommonJs };
    let limits = Limits { turn: Duration::from_millis(50), ..Limits::default() };
    let start = || Instance::start(&engine, &limits, &[glue], None, Box::new(Host { _gone: None }));
    let mut instance = start().expect("it starts").0;
    let held_back = Account::new(&Limits { cpu_percent: 1, cpu_burst: Duration::ZERO, ..Limits::default() });
    let (told, outcome) = channel();
    let ends = told.clone();
    let spend: super::Job = Box::new(move |permit| {
        let mut permit = permit.expect("a permit");
        permit.begin_turn(FOR_EVER);
        // More than a minute until a hundredth of a core has made up for it; it waits inside of this call.
        told.send("spent").expect("the test waits");
        let _ = permit.away(|| ((), Duration::from_secs(1)));
        let _ = told.send("held back no more");
    });
    engine.gate().submit(&held_back, spend);
    assert_eq!(outcome.recv_timeout(DEADLINE), Ok("spent"));
    let quiet = || {
        let state = engine.gate().shared.lock();
        state.earliest_due().is_some() && !state.is_running() && !state.has_run()
    };
    until("nothing has run for a tick", quiet);
    std::thread::spawn(move || {
        assert!(matches!(instance.turn(b"loop"), Err(SandboxError::Deadline)));
        ends.send("the turn has ended").expect("the test waits");
    });
    assert_eq!(outcome.recv_timeout(DEADLINE), Ok("the turn has ended"), "before the share of the other has filled");
    engine.gate().cancel(&held_back);
}

#[test]
fn a_turn_that_used_too_much_is_over_also_where_no_tick_came() {
    // A gate of an engine that runs nothing: its ticks reach nobody.
    let gate = Gate::start(&wasmtime::Engine::default(), 1).expect("a gate");
    let (told, outcome) = channel();
    let spend = move |permit: Result<super::Permit, crate::HostFault>| {
        let mut permit = permit.expect("a permit");
        for budget in [Duration::from_millis(20), FOR_EVER] {
            permit.begin_turn(budget);
            let began = super::thread_time();
            while super::thread_time() - began < Duration::from_millis(21) {}
            told.send(permit.end_turn().is_ok()).expect("the test waits");
        }
    };
    gate.submit(&Account::new(&Limits::default()), Box::new(spend));
    assert_eq!(outcome.recv_timeout(DEADLINE), Ok(false), "more than 20 ms of 20");
    assert_eq!(outcome.recv_timeout(DEADLINE), Ok(true), "the next turn has its own");
}
