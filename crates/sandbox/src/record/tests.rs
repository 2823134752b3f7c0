//! What was recorded comes out again; anything else is refused or named. Nothing in a file can make a replay panic.

use std::os::unix::fs::PermissionsExt;
use std::sync::OnceLock;
use std::time::Duration;

use super::*;
use crate::{Engine, Instance, Limits, ModuleKind, Script};

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(None).expect("the engine compiles"))
}

const GLUE: Script<'static> = Script {
    name: "glue.js",
    kind: ModuleKind::CommonJs,
    source: "boundary.onMessage = (text) => boundary.script()({
        text, post: boundary.post, call: boundary.call, answer: (value) => boundary.post(JSON.stringify(value)) });",
};

/// A host that never says the same thing twice.
struct Restless(u64);

impl HostCalls for Restless {
    fn call(&mut self, name: &str, payload: &[u8]) -> Result<Vec<u8>, String> {
        self.0 += 1;
        match name {
            "count" => Ok(format!("{} {}", self.0, payload.len()).into_bytes()),
            "panic" => panic!("asked to"),
            _ => Err(format!("no {name} for the {}th time", self.0)),
        }
    }

    fn now_millis(&mut self) -> u64 {
        self.0 += 7_013;
        1_700_000_000_000 + self.0
    }
}

/// Takes something of every kind from outside, keeps it, and gives something of every kind.
const BUSY: &str = "
    const kept = [];
    export default ({ text, call, answer }) => {
        if (text === 'panic') call('panic', '');
        if (text === 'loop') { Date.now(); for (;;) Math.random(); }
        if (text === 'bomb') { const all = []; for (;;) all.push(new Array(1000).fill(all.length)); }
        if (text === 'flood') for (;;) answer(1);
        kept.push(text, Date.now(), Math.random(), crypto.randomUUID(), new Uint8Array(1000).fill(kept.length));
        kept.push(call('count', text), new URL('../b?c=d', 'https://example.org/a/').href);
        try { call('nothing', 'x'); } catch (error) { kept.push(error.message); }
        console.log(kept.length, kept.at(-4));
        setTimeout(() => { kept.push(Math.random()); answer(kept.length); }, 20 + Math.random() * 10);
        Promise.reject(new Error('lost ' + Math.random()));
        answer(kept.slice(-7));
    };";

fn limits() -> Limits {
    Limits { memory_bytes: 8 << 20, turn: Duration::from_secs(20), ..Limits::default() }
}

/// Records a run of `script` over these messages, each timer fired after the turn that asked for it.
fn recorded(limits: &Limits, script: &str, messages: &[&str]) -> (Vec<u8>, Option<[u8; 32]>) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("run");
    let recorder = Recorder::create(&path, "a test").expect("a file");
    let script = Script { name: "script.js", source: script, kind: ModuleKind::EsModule };
    let started = Instance::start_recorded(engine(), limits, &[GLUE], Some(script), Box::new(Restless(0)), recorder);
    let mut memory = None;
    if let Ok((mut instance, _)) = started {
        for message in messages {
            let Ok(outgoing) = instance.turn(message.as_bytes()) else { break };
            for one in outgoing {
                if let Outgoing::Timer { id, .. } = one {
                    instance.fire_timer(id).expect("the timer's turn goes well");
                }
            }
        }
        memory = instance.memory_digest();
        instance.finish_recording().expect("written");
        instance.finish_recording().expect("nothing more to finish");
    }
    (std::fs::read(&path).expect("the file"), memory)
}

/// The recording after a change of its content, with the digest that fits.
fn changed(recording: &Recording, change: impl FnOnce(&mut Recording)) -> Recording {
    let mut recording = recording.clone();
    change(&mut recording);
    let mut bytes = format::head(&recording.header);
    for turn in &recording.turns {
        bytes.extend(format::input(&turn.input));
        turn.reads.iter().for_each(|read| bytes.extend(format::read(read)));
        bytes.extend(format::outcome(&turn.outcome));
    }
    bytes.extend(format::end(recording.memory));
    sealed(bytes).1.expect("a change that makes sense")
}

fn sealed(mut bytes: Vec<u8>) -> (Vec<u8>, Result<Recording, ReplayError>) {
    let digest = Sha256::digest(&bytes);
    bytes.extend(digest);
    let read = Recording::read(&bytes);
    (bytes, read)
}

#[test]
fn a_run_comes_out_again_to_the_byte() {
    let (bytes, memory) = recorded(&limits(), BUSY, &["one", "two", "three ☂", "four"]);
    let recording = Recording::read(&bytes).expect("a recording");
    assert_eq!(recording.header.note, "a test");
    assert_eq!(recording.turns.len(), 1 + 4 + 4);
    let replayed = recording.replay(engine()).expect("the same run");
    assert_eq!(replayed.memory, memory);
    assert!(memory.is_some() && replayed.memory == recording.memory);
    assert_eq!(replayed.turns, 9);
    assert!(replayed.reads >= 4 * 5, "{replayed:?}");
    assert_eq!(recording.replay(engine()).expect("and again"), replayed);
    // Another run of the same script with the same messages is another run: what the host said was not the same.
    let (other, _) = recorded(&limits(), BUSY, &["one", "two", "three ☂", "five"]);
    assert_ne!(Recording::read(&other).expect("a recording").memory, recording.memory);
}

#[test]
fn what_a_script_reads_while_it_is_evaluated_is_recorded_too() {
    let script = "const born = Date.now(), secret = Math.random();
        export default ({ answer }) => answer([born, secret]);";
    let (bytes, _) = recorded(&limits(), script, &["tell", "tell"]);
    let recording = Recording::read(&bytes).expect("a recording");
    assert!(!recording.turns[0].reads.is_empty(), "read at the start");
    recording.replay(engine()).expect("the same run");
}

#[test]
fn two_starts_of_a_script_that_reads_nothing_are_the_same_to_the_byte() {
    let script = "const table = new Map([[1, 'a'], ['b', {}]]); export default () => table;";
    let (one, first) = recorded(&limits(), script, &[]);
    let (other, second) = recorded(&limits(), script, &[]);
    assert!(first.is_some());
    assert_eq!((one, first), (other, second));
}

#[test]
fn a_guest_that_a_limit_ended_ends_so_again() {
    let tight = Limits { turn: Duration::from_millis(200), ..limits() };
    for (limits, message, expected) in [
        (&limits(), "bomb", Outcome::Ended(SandboxError::Memory.to_string())),
        (&limits(), "flood", Outcome::Ended(SandboxError::TooManyMessages.to_string())),
        (&tight, "loop", Outcome::TimeUp),
        (&limits(), "panic", Outcome::Lost),
    ] {
        let (bytes, memory) = recorded(limits, BUSY, &["one", message, "never"]);
        let recording = Recording::read(&bytes).expect("a recording");
        let replayed = recording.replay(engine()).unwrap_or_else(|error| panic!("{message}: {error}"));
        assert_eq!((replayed.ended, replayed.memory, memory), (expected, None, None), "{message}");
        assert_eq!(replayed.turns, 4, "{message}");
    }
}

#[test]
fn a_start_that_fails_is_a_whole_recording() {
    let (bytes, _) = recorded(&limits(), "Math.random(); throw new TypeError('no');", &[]);
    let replayed = Recording::read(&bytes).expect("a recording").replay(engine()).expect("fails again");
    assert!(matches!(&replayed.ended, Outcome::Ended(why) if why.contains("TypeError: no")), "{replayed:?}");
    let (bytes, _) = recorded(&Limits { memory_bytes: 1 << 20, ..limits() }, BUSY, &[]);
    let replayed = Recording::read(&bytes).expect("a recording").replay(engine()).expect("fails again");
    assert_eq!(replayed.ended, Outcome::Ended(SandboxError::Memory.to_string()));
}

#[test]
fn a_changed_byte_is_refused_wherever_it_stands() {
    let (bytes, _) = recorded(&limits(), BUSY, &["one"]);
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let error = Recording::read(&damaged).expect_err("refused").to_string();
        assert!(["is damaged", "is not whole", "is no recording"].iter().any(|words| error.contains(words)), "{error}");
        let cut = Recording::read(&bytes[..at]).expect_err("refused").to_string();
        assert!(["is damaged", "is not whole", "is no recording"].iter().any(|words| cut.contains(words)), "{cut}");
    }
    let behind = [bytes.as_slice(), b"x"].concat();
    assert!(matches!(Recording::read(&behind), Err(ReplayError::Damaged)));
}

#[test]
fn a_forged_recording_differs_from_the_run_and_says_where() {
    let (bytes, _) = recorded(&limits(), BUSY, &["one", "two"]);
    let recording = Recording::read(&bytes).expect("a recording");
    let differs = |what: &str, change: &dyn Fn(&mut Recording), expected_turn: usize, words: &str| match changed(
        &recording, change,
    )
    .replay(engine())
    {
        Err(ReplayError::Diverged { turn, recorded, found }) => {
            assert_eq!(turn, expected_turn, "{what}: {recorded}; {found}");
            assert!(format!("{recorded} {found}").contains(words), "{what}: {recorded}; {found}");
        }
        other => panic!("{what}: {other:?}"),
    };
    differs("another message", &|all| all.turns[1].input = Input::Message(b"uno".to_vec()), 1, "asked for");
    differs(
        "another answer",
        &|all| {
            let Outcome::Went(outgoing) = &mut all.turns[1].outcome else { panic!("it went") };
            outgoing.retain(|one| !matches!(one, Outgoing::Message(_)));
        },
        1,
        "as number",
    );
    differs(
        "another reading",
        &|all| {
            let Some(Read::Clock(now)) = all.turns[3].reads.iter_mut().find(|read| matches!(read, Read::Clock(_)))
            else {
                panic!("it reads the clock")
            };
            *now += 1_000;
        },
        3,
        "as number",
    );
    differs("a reading less", &|all| drop(all.turns[3].reads.pop()), 3, "nothing more");
    differs("a reading more", &|all| all.turns[3].reads.push(Read::Clock(1)), 3, "did not ask for the clock");
    differs("a turn less", &|all| drop(all.turns.pop()), 3, "memory");
    differs("another memory", &|all| all.memory = Some([7; 32]), 4, "memory 0707");
    differs("another end", &|all| all.turns[4].outcome = Outcome::Ended("so".into()), 4, "so");
    differs("another script", &|all| all.header.scripts[1].source.push_str("Math.random();"), 0, "random bytes");
    differs("no script", &|all| drop(all.header.scripts.pop()), 1, "did not ask");
}

#[test]
fn another_build_and_limits_out_of_reason_are_refused_with_both_sides_named() {
    let (bytes, _) = recorded(&limits(), BUSY, &[]);
    let recording = Recording::read(&bytes).expect("a recording");
    let refused = |change: &dyn Fn(&mut Recording)| {
        changed(&recording, change).replay(engine()).expect_err("refused").to_string()
    };
    let other = refused(&|all| all.header.engine = [0xab; 32]);
    assert!(other.contains("another engine (abababab") && other.contains(&hex::encode(build_digest())), "{other}");
    let large = refused(&|all| all.header.limits.memory_bytes = 2 << 30);
    assert!(large.contains("2147483648 bytes of memory"), "{large}");
    let long = refused(&|all| all.header.limits.turn = Duration::from_secs(1_000_000));
    assert!(long.contains("turns of 1000000 s"), "{long}");
    let at = b"entresol recording\n".len();
    let mut newer = bytes[..bytes.len() - 32].to_vec();
    newer[at] += 1;
    let newer = sealed(newer).1.expect_err("refused").to_string();
    assert!(newer.contains("another version of the format (2; this program has 1)"), "{newer}");
}

#[test]
fn hostile_recordings_are_bad_input_and_nothing_worse() {
    let (bytes, _) = recorded(&Limits { turn: Duration::from_millis(500), ..limits() }, BUSY, &["one", "two"]);
    let body = &bytes[..bytes.len() - 32];
    // A generator of our own: the same bytes in every run of the test.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).expect("below a usize")
    };
    let (mut read, mut refused) = (0, 0);
    for _ in 0..4_000 {
        let mut forged = body.to_vec();
        for _ in 0..=random(4) {
            if forged.is_empty() {
                break;
            }
            let at = random(forged.len());
            match random(4) {
                0 => forged[at] = u8::try_from(random(256)).expect("a byte"),
                1 => drop(forged.drain(at..(at + random(40)).min(forged.len()))),
                2 => forged.truncate(at.max(1)),
                _ => forged.splice(at..at, [255_u8; 4]).for_each(drop),
            }
        }
        match sealed(forged).1 {
            Err(_) => refused += 1,
            // A replay of every one would take its time; what reads well is replayed now and then.
            Ok(recording) if read % 8 == 0 => {
                read += 1;
                let _ = recording.replay(engine());
            }
            Ok(_) => read += 1,
        }
    }
    assert!(read > 100 && refused > 1_000, "{read} read, {refused} refused");
}

#[test]
fn a_recording_is_for_this_user_alone_and_never_overwrites() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("run");
    let recorder = Recorder::create(&path, "").expect("a file");
    assert_eq!(recorder.path(), path);
    let mode = std::fs::metadata(&path).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = Recorder::create(&path, "").expect_err("refused");
    assert!(again.to_string().contains("cannot be written to"), "{again}");
    // What was never finished is not taken for a recording.
    drop(recorder);
    let read = Recording::read(&std::fs::read(&path).expect("the file"));
    assert!(matches!(read, Err(ReplayError::NotOne)), "{read:?}");
}

/// A disk that is full after so many bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_ends_the_recording_and_not_the_guest() {
    let recorder = Recorder::into(Path::new("full"), "", Box::new(Full(20_000)));
    let script = Script { name: "s", source: BUSY, kind: ModuleKind::EsModule };
    let (mut instance, _) =
        Instance::start_recorded(engine(), &limits(), &[GLUE], Some(script), Box::new(Restless(0)), recorder)
            .expect("starts");
    for _ in 0..100 {
        instance.turn(b"one").expect("the guest goes on");
    }
    assert!(matches!(instance.finish_recording(), Err(RecordError::Write { .. })));
    instance.turn(b"one").expect("the guest goes on");
}
