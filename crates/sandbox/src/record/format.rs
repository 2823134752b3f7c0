//! A recording as bytes.
//!
//! ```text
//! magic, ABI version, header as JSON, the sources of its scripts
//! for each turn:  input, reads …, outcome
//! end, with the digest of the memory
//! SHA-256 of all of the above
//! ```
//! Numbers are little endian; a text or a list of bytes has its length before it. The reader takes nothing on trust: every
//! length is held against the bytes that are there before anything is allocated.

use std::time::Duration;

use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::{RECORDING_ABI, ReplayError};
use crate::{Limits, LogLevel, ModuleKind, Outgoing, SandboxError};

const MAGIC: &[u8] = b"entresol recording\n";
const DIGEST: usize = 32;

/// Largest header: names and numbers, and a note.
const MOST_HEADER: usize = 1 << 16;
/// Files that are evaluated at a start: globals of the embedder and the script itself.
const MOST_SCRIPTS: usize = 16;

/// A file that was evaluated when the guest was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedScript {
    /// The embedder's own, which sees the boundary.
    pub prelude: bool,
    /// How it was evaluated.
    pub kind: ModuleKind,
    /// As stacks show it.
    pub name: String,
    /// The text itself: a replay needs no other file.
    pub source: String,
}

impl RecordedScript {
    /// SHA-256 of the source.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.source).into()
    }
}

/// What a guest was started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// SHA-256 of the engine and the sandbox's globals.
    pub engine: [u8; 32],
    /// The guest's limits.
    pub limits: Limits,
    /// What was evaluated, in order.
    pub scripts: Vec<RecordedScript>,
    /// The embedder's own text.
    pub note: String,
}

/// What a turn began with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The evaluation of the scripts.
    Start,
    /// A message.
    Message(Vec<u8>),
    /// A timer that was due.
    Timer(u32),
}

/// Something a guest took from outside within a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// Random bytes.
    Random {
        /// What it got.
        bytes: Vec<u8>,
        /// False when there was no randomness.
        filled: bool,
    },
    /// The clock, Unix milliseconds.
    Clock(u64),
    /// A host call.
    Call {
        /// Which.
        name: String,
        /// SHA-256 of what it was given: the guest makes it again.
        payload: [u8; 32],
        /// What it answered.
        answer: Result<Vec<u8>, String>,
    },
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With this asked of the embedder, in order.
    Went(Vec<Outgoing>),
    /// A limit of time ended it: where, depends on the machine.
    TimeUp,
    /// A fault of the host took the guest with it.
    Lost,
    /// In another way, which a replay has to repeat: the name of the reason and its text.
    Ended(String),
}

impl Outcome {
    pub(crate) fn of(outcome: Result<&[Outgoing], &SandboxError>) -> Self {
        match outcome {
            Ok(outgoing) => Self::Went(outgoing.to_vec()),
            Err(SandboxError::Deadline) => Self::TimeUp,
            Err(SandboxError::Host(_)) => Self::Lost,
            Err(SandboxError::Script { message, stack }) => Self::Ended(format!("{message}\n{stack}")),
            Err(other) => Self::Ended(other.to_string()),
        }
    }
}

/// One turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// What it began with.
    pub input: Input,
    /// What it took from outside.
    pub reads: Vec<Read>,
    /// How it ended.
    pub outcome: Outcome,
}

/// A whole recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// What the guest was started with.
    pub header: Header,
    /// Its turns.
    pub turns: Vec<Turn>,
    /// SHA-256 of the linear memory at the end; none when the guest had ended.
    pub memory: Option<[u8; 32]>,
}

// ---- Writing -----------------------------------------------------------------------------------------------------

const INPUT_START: u8 = 1;
const INPUT_MESSAGE: u8 = 2;
const INPUT_TIMER: u8 = 3;
const READ_RANDOM: u8 = 16;
const READ_CLOCK: u8 = 17;
const READ_CALL: u8 = 18;
const WENT: u8 = 32;
const TIME_UP: u8 = 33;
const LOST: u8 = 34;
const ENDED: u8 = 35;
const END: u8 = 48;

const OUT_MESSAGE: u8 = 1;
const OUT_LOG: u8 = 2;
const OUT_TIMER: u8 = 3;
const OUT_CLEAR: u8 = 4;
const OUT_UNCAUGHT: u8 = 5;

fn put(into: &mut Vec<u8>, bytes: &[u8]) {
    // Nothing that crosses the boundary comes near 4 GiB: messages have a limit, sources lie in a 32-bit memory.
    into.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    into.extend_from_slice(bytes);
}

/// Everything before the first turn, without that turn's input.
pub(crate) fn head(header: &Header) -> Vec<u8> {
    // All fields by name: a limit that is added must be thought of here, as a replay under another limit diverges.
    // A share of CPU changes when a turn runs and never what it does.
    let Limits {
        memory_bytes,
        start_memory_bytes,
        turn,
        cpu_percent: _,
        cpu_burst: _,
        stack,
        message_bytes,
        messages_per_turn,
        log_bytes_per_turn,
        timers,
        clock_step,
        webassembly,
    } = &header.limits;
    let scripts: Vec<Json> = header
        .scripts
        .iter()
        .map(|script| {
            json!({
                "name": script.name,
                "prelude": script.prelude,
                "commonJs": script.kind == ModuleKind::CommonJs,
                "sha256": hex::encode(script.digest()),
            })
        })
        .collect();
    let text = json!({
        "engine": hex::encode(header.engine),
        "note": header.note.chars().take(MOST_HEADER / 8).collect::<String>(),
        "limits": {
            "memoryBytes": memory_bytes,
            "startMemoryBytes": start_memory_bytes,
            "turnMicros": u64::try_from(turn.as_micros()).unwrap_or(u64::MAX),
            "stack": stack,
            "messageBytes": message_bytes,
            "messagesPerTurn": messages_per_turn,
            "logBytesPerTurn": log_bytes_per_turn,
            "timers": timers,
            "webassembly": webassembly,
            "clockStepMillis": u64::try_from(clock_step.as_millis()).unwrap_or(u64::MAX),
        },
        "scripts": scripts,
    });
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&RECORDING_ABI.to_le_bytes());
    put(&mut bytes, text.to_string().as_bytes());
    for script in &header.scripts {
        put(&mut bytes, script.source.as_bytes());
    }
    bytes
}

pub(crate) fn input(input: &Input) -> Vec<u8> {
    match input {
        Input::Start => vec![INPUT_START],
        Input::Message(message) => {
            let mut bytes = vec![INPUT_MESSAGE];
            put(&mut bytes, message);
            bytes
        }
        Input::Timer(id) => [&[INPUT_TIMER], id.to_le_bytes().as_slice()].concat(),
    }
}

pub(crate) fn read(read: &Read) -> Vec<u8> {
    match read {
        Read::Random { bytes: random, filled } => {
            let mut bytes = vec![READ_RANDOM, u8::from(*filled)];
            put(&mut bytes, random);
            bytes
        }
        Read::Clock(now) => [&[READ_CLOCK], now.to_le_bytes().as_slice()].concat(),
        Read::Call { name, payload, answer } => {
            let mut bytes = vec![READ_CALL];
            put(&mut bytes, name.as_bytes());
            bytes.extend_from_slice(payload);
            bytes.push(u8::from(answer.is_ok()));
            put(&mut bytes, answer.as_ref().map_or_else(|text| text.as_bytes(), Vec::as_slice));
            bytes
        }
    }
}

pub(crate) fn outcome(outcome: &Outcome) -> Vec<u8> {
    match outcome {
        Outcome::TimeUp => vec![TIME_UP],
        Outcome::Lost => vec![LOST],
        Outcome::Ended(reason) => {
            let mut bytes = vec![ENDED];
            put(&mut bytes, reason.as_bytes());
            bytes
        }
        Outcome::Went(outgoing) => {
            let mut bytes = vec![WENT];
            bytes.extend_from_slice(&u32::try_from(outgoing.len()).unwrap_or(u32::MAX).to_le_bytes());
            outgoing.iter().for_each(|one| asked(&mut bytes, one));
            bytes
        }
    }
}

fn asked(bytes: &mut Vec<u8>, one: &Outgoing) {
    match one {
        Outgoing::Message(message) => {
            bytes.push(OUT_MESSAGE);
            put(bytes, message);
        }
        Outgoing::Log { level, text } => {
            bytes.extend_from_slice(&[OUT_LOG, *level as u8]);
            put(bytes, text.as_bytes());
        }
        Outgoing::Timer { id, delay_ms } => {
            bytes.push(OUT_TIMER);
            bytes.extend_from_slice(&id.to_le_bytes());
            bytes.extend_from_slice(&delay_ms.to_le_bytes());
        }
        Outgoing::ClearTimer { id } => {
            bytes.push(OUT_CLEAR);
            bytes.extend_from_slice(&id.to_le_bytes());
        }
        Outgoing::Uncaught { message, stack } => {
            bytes.push(OUT_UNCAUGHT);
            put(bytes, message.as_bytes());
            put(bytes, stack.as_bytes());
        }
    }
}

pub(crate) fn end(memory: Option<[u8; 32]>) -> Vec<u8> {
    let mut bytes = vec![END, u8::from(memory.is_some())];
    bytes.extend_from_slice(&memory.unwrap_or_default());
    bytes
}

// ---- Reading -----------------------------------------------------------------------------------------------------

impl Recording {
    /// Reads a recording.
    ///
    /// # Errors
    /// It is none, was cut off, has a byte that was not written, or makes no sense.
    pub fn read(bytes: &[u8]) -> Result<Self, ReplayError> {
        let version_at = MAGIC.len();
        let Some(version) = bytes.strip_prefix(MAGIC).and_then(|rest| rest.first_chunk::<4>()) else {
            return Err(ReplayError::NotOne);
        };
        let version = u32::from_le_bytes(*version);
        let (body, digest) = bytes.split_last_chunk::<DIGEST>().ok_or(ReplayError::Unfinished)?;
        let whole = <[u8; DIGEST]>::from(Sha256::digest(body)) == *digest;
        // What is whole and of another version is said to be so; what is not whole has no version that counts.
        if whole && version != RECORDING_ABI {
            return Err(ReplayError::OtherBuild {
                what: "version of the format",
                recorded: version.to_string(),
                ours: RECORDING_ABI.to_string(),
            });
        }
        let mut reader = Reader { bytes: body, at: version_at + 4 };
        match reader.recording() {
            // The end is missing and the digest with it: what stands there was cut.
            Err(Broken::Short) if !whole => Err(ReplayError::Unfinished),
            _ if !whole => Err(ReplayError::Damaged),
            Err(Broken::Short) => Err(ReplayError::Nonsense { at: reader.at, what: "it ends in the middle" }),
            Err(Broken::Wrong(what)) => Err(ReplayError::Nonsense { at: reader.at, what }),
            Ok(recording) => Ok(recording),
        }
    }
}

enum Broken {
    Short,
    Wrong(&'static str),
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Broken> {
        let end = self.at.checked_add(length).ok_or(Broken::Short)?;
        let taken = self.bytes.get(self.at..end).ok_or(Broken::Short)?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        self.take(N)?.try_into().map_err(|_| Broken::Short)
    }

    fn byte(&mut self) -> Result<u8, Broken> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn flag(&mut self) -> Result<bool, Broken> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Broken::Wrong("neither yes nor no")),
        }
    }

    fn u32(&mut self) -> Result<u32, Broken> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Broken> {
        self.array().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Result<Vec<u8>, Broken> {
        let length = usize::try_from(self.u32()?).map_err(|_| Broken::Short)?;
        self.take(length).map(<[u8]>::to_vec)
    }

    fn text(&mut self) -> Result<String, Broken> {
        String::from_utf8(self.bytes()?).map_err(|_| Broken::Wrong("a text that is not UTF-8"))
    }

    fn recording(&mut self) -> Result<Recording, Broken> {
        let header = self.header()?;
        let mut turns = Vec::new();
        loop {
            let input = match self.byte()? {
                INPUT_START => Input::Start,
                INPUT_MESSAGE => Input::Message(self.bytes()?),
                INPUT_TIMER => Input::Timer(self.u32()?),
                END => break,
                _ => return Err(Broken::Wrong("no such input")),
            };
            if turns.is_empty() != (input == Input::Start) {
                return Err(Broken::Wrong("a run starts once, at its beginning"));
            }
            let (mut reads, mut outcome) = (Vec::new(), None);
            while outcome.is_none() {
                match self.byte()? {
                    READ_RANDOM => {
                        let filled = self.flag()?;
                        reads.push(Read::Random { bytes: self.bytes()?, filled });
                    }
                    READ_CLOCK => reads.push(Read::Clock(self.u64()?)),
                    READ_CALL => {
                        let (name, payload) = (self.text()?, self.array()?);
                        let answer = if self.flag()? { Ok(self.bytes()?) } else { Err(self.text()?) };
                        reads.push(Read::Call { name, payload, answer });
                    }
                    WENT => outcome = Some(Outcome::Went(self.outgoing()?)),
                    TIME_UP => outcome = Some(Outcome::TimeUp),
                    LOST => outcome = Some(Outcome::Lost),
                    ENDED => outcome = Some(Outcome::Ended(self.text()?)),
                    _ => return Err(Broken::Wrong("no such reading and no such outcome")),
                }
            }
            let Some(outcome) = outcome else { return Err(Broken::Short) };
            turns.push(Turn { input, reads, outcome });
        }
        let alive = self.flag()?;
        let digest = self.array()?;
        if self.at != self.bytes.len() {
            return Err(Broken::Wrong("something stands behind the end"));
        }
        Ok(Recording { header, turns, memory: alive.then_some(digest) })
    }

    fn outgoing(&mut self) -> Result<Vec<Outgoing>, Broken> {
        let count = self.u32()?;
        let mut outgoing = Vec::new();
        for _ in 0..count {
            outgoing.push(match self.byte()? {
                OUT_MESSAGE => Outgoing::Message(self.bytes()?),
                OUT_LOG => {
                    let level = match self.byte()? {
                        0 => LogLevel::Debug,
                        1 => LogLevel::Info,
                        2 => LogLevel::Warn,
                        3 => LogLevel::Error,
                        _ => return Err(Broken::Wrong("no such level of a log line")),
                    };
                    Outgoing::Log { level, text: self.text()? }
                }
                OUT_TIMER => Outgoing::Timer { id: self.u32()?, delay_ms: self.u64()? },
                OUT_CLEAR => Outgoing::ClearTimer { id: self.u32()? },
                OUT_UNCAUGHT => Outgoing::Uncaught { message: self.text()?, stack: self.text()? },
                _ => return Err(Broken::Wrong("nothing that a turn can ask for")),
            });
        }
        Ok(outgoing)
    }

    fn header(&mut self) -> Result<Header, Broken> {
        let text = self.bytes()?;
        if text.len() > MOST_HEADER {
            return Err(Broken::Wrong("the header is too large"));
        }
        let header: Json = serde_json::from_slice(&text).map_err(|_| Broken::Wrong("the header is no JSON"))?;
        let limit = |name: &str| {
            let number = header["limits"][name].as_u64().and_then(|number| usize::try_from(number).ok());
            number.ok_or(Broken::Wrong("a limit is missing"))
        };
        let limits = Limits {
            memory_bytes: limit("memoryBytes")?,
            start_memory_bytes: limit("startMemoryBytes")?,
            turn: Duration::from_micros(limit("turnMicros")? as u64),
            stack: limit("stack")?,
            message_bytes: limit("messageBytes")?,
            messages_per_turn: limit("messagesPerTurn")?,
            log_bytes_per_turn: limit("logBytesPerTurn")?,
            timers: limit("timers")?,
            clock_step: Duration::from_millis(limit("clockStepMillis")? as u64),
            cpu_percent: 100,
            webassembly: header["limits"]["webassembly"].as_bool().ok_or(Broken::Wrong("a limit is missing"))?,
            ..Limits::default()
        };
        let listed = header["scripts"].as_array().ok_or(Broken::Wrong("no list of scripts"))?;
        if listed.len() > MOST_SCRIPTS {
            return Err(Broken::Wrong("too many scripts"));
        }
        let mut scripts = Vec::new();
        for one in listed {
            let missing = Broken::Wrong("a script lacks its name, its kind or its digest");
            let (Some(name), Some(prelude), Some(common_js), Some(digest)) =
                (one["name"].as_str(), one["prelude"].as_bool(), one["commonJs"].as_bool(), one["sha256"].as_str())
            else {
                return Err(missing);
            };
            let kind = if common_js { ModuleKind::CommonJs } else { ModuleKind::EsModule };
            let script = RecordedScript { prelude, kind, name: name.to_owned(), source: self.text()? };
            if hex::encode(script.digest()) != digest {
                return Err(Broken::Wrong("a script is not the one of the header"));
            }
            scripts.push(script);
        }
        let engine = header["engine"].as_str().and_then(|text| hex::decode(text).ok()?.try_into().ok());
        let engine = engine.ok_or(Broken::Wrong("the engine has no digest"))?;
        Ok(Header { engine, limits, scripts, note: header["note"].as_str().unwrap_or_default().to_owned() })
    }
}
