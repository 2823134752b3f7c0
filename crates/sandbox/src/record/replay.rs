//! Running a recording again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::format::{Input, Outcome, Read, Recording, Turn};
use super::{ReplayError, Tape};
use crate::machine::globals;
use crate::{Engine, HostCalls, Instance, Limits, Outgoing, SandboxError, Script};

/// Most memory that a replay gives a guest: more than any plugin is granted, and less than harms the machine.
const MOST_MEMORY: usize = 1 << 30;
/// Longest turn that a replay waits for.
const LONGEST_TURN: Duration = Duration::from_secs(120);
/// A turn that ended by itself may take this much longer where it is replayed: another machine may be slower, or busy.
const PATIENCE: u32 = 4;
/// Characters of a recorded text that an error quotes.
const QUOTED: usize = 300;

/// What a recording came out as. It is what stands in the recording; anything else is a [`ReplayError`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Turns, the start included.
    pub turns: usize,
    /// Random bytes, clock readings and answers of host calls that the guest took.
    pub reads: usize,
    /// Messages, log lines, timers and errors that it gave.
    pub asked: usize,
    /// SHA-256 of its memory at the end, equal to the recorded one; none when the guest had ended.
    pub memory: Option<[u8; 32]>,
    /// How the last turn ended.
    pub ended: Outcome,
}

/// Gives a guest what the recording says it got.
#[derive(Clone, Default)]
pub(crate) struct Player {
    reel: Arc<Mutex<Reel>>,
}

#[derive(Default)]
struct Reel {
    reads: VecDeque<Read>,
    taken: usize,
    /// What it asked for that the recording does not have next.
    astray: Option<String>,
    /// It asked for more than the recording has in this turn.
    ran_out: bool,
}

impl Player {
    fn lock(&self) -> MutexGuard<'_, Reel> {
        // Plain fields, never half written.
        self.reel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self, reads: &[Read]) {
        let mut reel = self.lock();
        reel.reads = reads.iter().cloned().collect();
        reel.astray = None;
        reel.ran_out = false;
    }

    /// The next reading if `fits` makes something of it; otherwise the guest has to be stopped.
    fn next<T>(&self, wanted: &str, fits: impl FnOnce(Read) -> Result<T, Read>) -> Result<T, SandboxError> {
        let mut reel = self.lock();
        let other = match reel.reads.pop_front() {
            None => {
                reel.ran_out = true;
                reel.astray = Some(format!("{wanted}, and it had asked for nothing more"));
                return Err(SandboxError::Trap("the recording ends here".to_owned()));
            }
            Some(read) => match fits(read) {
                Ok(value) => {
                    reel.taken += 1;
                    return Ok(value);
                }
                Err(other) => other,
            },
        };
        reel.astray = Some(format!("{wanted}, where it had asked for {}", named(&other)));
        Err(SandboxError::Trap("the run differs from the recording".to_owned()))
    }

    pub(crate) fn random(&self, into: &mut [u8]) -> Result<bool, SandboxError> {
        self.next(&format!("{} random bytes", into.len()), |read| match read {
            Read::Random { bytes, filled } if bytes.len() == into.len() => {
                into.copy_from_slice(&bytes);
                Ok(filled)
            }
            other => Err(other),
        })
    }

    pub(crate) fn clock(&self) -> Result<u64, SandboxError> {
        self.next("the clock", |read| match read {
            Read::Clock(now) => Ok(now),
            other => Err(other),
        })
    }

    pub(crate) fn call(&self, name: &str, payload: &[u8]) -> Result<Result<Vec<u8>, String>, SandboxError> {
        let digest: [u8; 32] = Sha256::digest(payload).into();
        self.next(&format!("{name:?} of {} bytes {}…", payload.len(), &hex::encode(digest)[..8]), |read| match read {
            Read::Call { name: recorded, payload, answer } if recorded == name && payload == digest => Ok(answer),
            other => Err(other),
        })
    }
}

fn named(read: &Read) -> String {
    match read {
        Read::Random { bytes, .. } => format!("{} random bytes", bytes.len()),
        Read::Clock(_) => "the clock".to_owned(),
        Read::Call { name, payload, .. } => format!("{name:?} of other bytes or none, {}…", &hex::encode(payload)[..8]),
    }
}

/// A replay asks the embedder for nothing: what it says is on the recording.
struct Nobody;

impl HostCalls for Nobody {
    fn call(&mut self, _: &str, _: &[u8]) -> Result<Vec<u8>, String> {
        Err("a replay has no host".to_owned())
    }

    fn random(&mut self, _: &mut [u8]) -> Result<(), String> {
        Err("a replay has no randomness".to_owned())
    }

    fn now_millis(&mut self) -> u64 {
        0
    }
}

impl Recording {
    /// Runs it again in a fresh instance, from its start to its end.
    ///
    /// # Errors
    /// This program is not the one it was made with; its limits are out of reason; the run went another way, with the
    /// turn and what differs; this machine failed.
    pub fn replay(&self, engine: &Engine) -> Result<Replayed, ReplayError> {
        let ours = crate::record::build_digest();
        if self.header.engine != ours {
            return Err(ReplayError::OtherBuild {
                what: "engine",
                recorded: hex::encode(self.header.engine),
                ours: hex::encode(ours),
            });
        }
        check_limits(&self.header.limits)?;
        let player = Player::default();
        let mut instance = None;
        for (number, turn) in self.turns.iter().enumerate() {
            let diverged = |recorded: String, found: String| ReplayError::Diverged { turn: number, recorded, found };
            player.load(&turn.reads);
            let outcome = match &turn.input {
                Input::Start => self.start(engine, &player).map(|(started, outgoing)| {
                    instance = Some(started);
                    outgoing
                }),
                input => {
                    let Some(instance) = instance.as_mut() else {
                        return Err(diverged("a turn".to_owned(), "the script never started".to_owned()));
                    };
                    // An endless loop that asks for nothing is not worth waiting for any longer than it was.
                    let patience = if turn.outcome == Outcome::TimeUp { 1 } else { PATIENCE };
                    instance.allow_turn(self.header.limits.turn.saturating_mul(patience));
                    match input {
                        Input::Timer(id) => instance.fire_timer(*id),
                        Input::Message(message) => instance.turn(message),
                        Input::Start => Ok(Vec::new()),
                    }
                }
            };
            compare(turn, &outcome, &player).map_err(|(recorded, found)| diverged(recorded, found))?;
        }
        let ended = self.turns.last().map_or(Outcome::Lost, |turn| turn.outcome.clone());
        let memory = instance.as_ref().and_then(Instance::memory_digest);
        if let Outcome::Went(_) = &ended
            && memory != self.memory
        {
            let text = |digest: Option<[u8; 32]>| {
                digest.map_or("no memory".to_owned(), |d| format!("memory {}", hex::encode(d)))
            };
            let turn = self.turns.len().saturating_sub(1);
            return Err(ReplayError::Diverged { turn, recorded: text(self.memory), found: text(memory) });
        }
        let asked = self.turns.iter().map(|turn| match &turn.outcome {
            Outcome::Went(outgoing) => outgoing.len(),
            _ => 0,
        });
        let taken = player.lock().taken;
        Ok(Replayed { turns: self.turns.len(), reads: taken, asked: asked.sum(), memory, ended })
    }

    fn start(&self, engine: &Engine, player: &Player) -> Result<(Instance, Vec<Outgoing>), SandboxError> {
        let mut prelude = Vec::new();
        let mut main = None;
        for file in &self.header.scripts {
            let one = Script { name: &file.name, source: &file.source, kind: file.kind };
            if file.prelude {
                prelude.push(one);
            } else {
                main = Some(one);
            }
        }
        let limits = Limits { turn: self.header.limits.turn.saturating_mul(PATIENCE), ..self.header.limits.clone() };
        Instance::start_on(
            engine,
            &limits,
            globals(&limits),
            &prelude,
            main,
            Box::new(Nobody),
            Tape::Play(player.clone()),
        )
    }
}

fn check_limits(limits: &Limits) -> Result<(), ReplayError> {
    if limits.memory_bytes > MOST_MEMORY {
        let what = format!("{} bytes of memory", limits.memory_bytes);
        return Err(ReplayError::TooMuch { what, most: format!("{MOST_MEMORY} bytes") });
    }
    if limits.turn > LONGEST_TURN {
        let what = format!("turns of {} s", limits.turn.as_secs());
        return Err(ReplayError::TooMuch { what, most: format!("{} s", LONGEST_TURN.as_secs()) });
    }
    Ok(())
}

/// What stands in the recording and what happened, where they differ.
fn compare(
    turn: &Turn,
    outcome: &Result<Vec<Outgoing>, SandboxError>,
    player: &Player,
) -> Result<(), (String, String)> {
    let reel = player.lock();
    let recorded = || described(&turn.outcome);
    // Where time ended it, or the host, it may have been about to ask for one more thing.
    let cut = matches!(turn.outcome, Outcome::TimeUp | Outcome::Lost);
    if let Some(wanted) = reel.astray.as_ref().filter(|_| !(cut && reel.ran_out)) {
        return Err((recorded(), format!("it asked for {wanted}")));
    }
    // Out of time both here and there, and the same up to the earlier of the two.
    if turn.outcome == Outcome::TimeUp && matches!(outcome, Err(SandboxError::Deadline)) {
        return Ok(());
    }
    if let Some(left) = reel.reads.front() {
        return Err((recorded(), format!("it did not ask for {}", named(left))));
    }
    if cut {
        return Ok(());
    }
    let found = Outcome::of(outcome.as_ref().map(Vec::as_slice));
    match (&turn.outcome, &found) {
        (recorded, found) if recorded == found => Ok(()),
        (Outcome::Went(recorded), Outcome::Went(found)) => {
            let at = recorded.iter().zip(found).take_while(|(one, other)| one == other).count();
            let text = |list: &[Outgoing]| list.get(at).map_or("nothing more".to_owned(), |one| quoted(&shown(one)));
            Err((format!("{} as number {at} of what it asked for", text(recorded)), text(found)))
        }
        (_, found) => Err((recorded(), described(found))),
    }
}

fn described(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Went(outgoing) => format!("a turn that went well and asked for {} things", outgoing.len()),
        Outcome::TimeUp => "a turn that ran out of time".to_owned(),
        Outcome::Lost => "a turn that a fault of the host ended".to_owned(),
        Outcome::Ended(reason) => format!("an end: {}", quoted(reason)),
    }
}

/// One thing that a turn asked for, as a line.
fn shown(one: &Outgoing) -> String {
    match one {
        Outgoing::Message(text) => String::from_utf8_lossy(text).into_owned(),
        other => format!("{other:?}"),
    }
}

fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(QUOTED).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}
