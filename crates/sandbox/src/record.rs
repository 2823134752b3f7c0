//! Recordings: a run of a script that can be run again, bit for bit.
//!
//! **Why it works.** A guest is a function of what enters it: the engine, the globals, the prelude, the script and the
//! limits at its start, then messages, timers that fire, random bytes, readings of the clock and the answers of host
//! calls. WebAssembly without threads has no other input. A [`Recorder`] writes all of that down, in order, with what
//! came out; [`Recording::replay`] feeds a fresh instance with it and compares every [`Outgoing`](crate::Outgoing) and,
//! at the end, the digest of the whole linear memory.
//!
//! **What is not an input.** How much time a turn took. A turn that a time limit ended is the one thing that cannot be
//! repeated exactly: it is replayed up to the last thing it had asked for, and what it did after that is not known.
//! Everything else that ends a guest (memory, stack, too many messages) is repeated and compared.
//!
//! **What a recording holds.** Everything: what the plugin was told, what it answered, and the random bytes from which it
//! may have made secrets. Whoever has the file knows what the plugin knew. [`Recorder::create`] makes it readable for
//! this user alone; whoever passes it on passes all of that on.
//!
//! **Whose word a recording is.** Its digest is against damage, not against forgery: whoever can write the file can write
//! a digest that fits. A replay proves that *this script* with *these inputs* does what is written, not that the inputs
//! were ever there. Reading and replaying take any bytes: a hostile recording is refused, or is one more hostile script.

pub(crate) mod format;
mod replay;

use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::{HostCalls, Limits, Outgoing, SandboxError, Script};
pub use format::{Header, Input, Outcome, Read, RecordedScript, Recording, Turn};
pub(crate) use replay::Player;
pub use replay::Replayed;

/// Version of what is on a recording and of the boundary between engine and host: raised when either changes in a way
/// that an older recording cannot be replayed with.
pub const RECORDING_ABI: u32 = 1;

/// Largest recording. A plugin at its limits fills it in minutes; an ordinary one writes some kilobytes an hour.
pub const MOST_RECORDED: u64 = 256 << 20;

/// Why a recording could not be written.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The file could not be made or written.
    #[error("the recording cannot be written to {path}; make room there, or record into another directory")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// It would be larger than [`MOST_RECORDED`].
    #[error("the recording is full ({MOST_RECORDED} bytes) and ends early; record a shorter run")]
    Full,
}

/// Why a recording is refused, or does not come out as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// Not a recording at all.
    #[error("this is no recording of a plugin; `entresol plugin record` makes one")]
    NotOne,
    /// The file ends before its end.
    #[error("the recording is not whole: the wallet stopped before it was finished, or it was cut off; record again")]
    Unfinished,
    /// The bytes are not those that were written.
    #[error("the recording is damaged: its digest does not fit its bytes; take an undamaged copy")]
    Damaged,
    /// The digest fits and the content makes no sense.
    #[error("the recording makes no sense at byte {at}: {what}; it was not written by this program")]
    Nonsense {
        /// Where in the file.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// It was made by a build that differs where it matters.
    #[error(
        "the recording was made with another {what} ({recorded}; this program has {ours}); replay it with the version of the program that made it"
    )]
    OtherBuild {
        /// What differs.
        what: &'static str,
        /// As it stands in the recording.
        recorded: String,
        /// What this program has.
        ours: String,
    },
    /// Its limits are above what a replay gives.
    #[error("the recording asks for {what}, more than a replay gives ({most}); it was not written by this program")]
    TooMuch {
        /// What it asks for.
        what: String,
        /// The most.
        most: String,
    },
    /// The run went another way.
    #[error("the run differs from the recording in turn {turn}: recorded {recorded}, replayed {found}")]
    Diverged {
        /// Counted from 0, the start of the script.
        turn: usize,
        /// What the recording says.
        recorded: String,
        /// What happened instead.
        found: String,
    },
    /// This machine's doing.
    #[error("the replay could not run")]
    Host(#[source] crate::HostFault),
}

/// Writes one run of one instance. Clones write the same recording.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Mutex<Writer>>,
}

struct Writer {
    path: PathBuf,
    note: String,
    into: Option<BufWriter<Box<dyn Write + Send>>>,
    digest: Sha256,
    written: u64,
    /// A turn has begun and not ended.
    open: bool,
    failed: Option<RecordError>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("path", &self.with(|writer| writer.path.clone())).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Makes the file, with mode 0600; one that is there already is left alone. `note` is the embedder's own text for
    /// whoever looks at the recording: which plugin, when.
    ///
    /// # Errors
    /// The file cannot be made.
    #[expect(clippy::disallowed_methods, reason = "a recording is a copy of what happened: a crash may lose it")]
    pub fn create(path: &Path, note: &str) -> Result<Self, RecordError> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = file.map_err(|error| RecordError::Write { path: path.into(), source: Arc::new(error) })?;
        Ok(Self::into(path, note, Box::new(file)))
    }

    fn into(path: &Path, note: &str, into: Box<dyn Write + Send>) -> Self {
        let writer = Writer {
            path: path.into(),
            note: note.to_owned(),
            into: Some(BufWriter::new(into)),
            digest: Sha256::new(),
            written: 0,
            open: false,
            failed: None,
        };
        Self { shared: Arc::new(Mutex::new(writer)) }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Writer) -> T) -> T {
        // Every change of the writer is whole before it can panic: it cannot, it only writes.
        work(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.with(|writer| writer.path.clone())
    }

    /// Bytes written so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.with(|writer| writer.written)
    }

    /// Writes the head and begins the turn in which the script is evaluated.
    pub(crate) fn start(&self, limits: &Limits, prelude: &[Script<'_>], script: Option<Script<'_>>) {
        let file = |prelude, script: &Script<'_>| RecordedScript {
            prelude,
            kind: script.kind,
            name: script.name.to_owned(),
            source: script.source.to_owned(),
        };
        let scripts = prelude.iter().map(|one| file(true, one)).chain(script.iter().map(|one| file(false, one)));
        self.with(|writer| {
            let header = Header {
                engine: build_digest(),
                limits: limits.clone(),
                scripts: scripts.collect(),
                note: writer.note.clone(),
            };
            writer.put(&format::head(&header));
            writer.begin(&Input::Start);
        });
    }

    /// The turn that is open has ended. Nothing when none is: the evaluation is told of twice.
    pub(crate) fn end(&self, outcome: Result<&[Outgoing], &SandboxError>) {
        self.with(|writer| {
            if writer.open {
                writer.end(&Outcome::of(outcome));
            }
        });
    }

    /// Ends the recording: with the digest of the memory if the guest is alive.
    pub(crate) fn finish(&self, memory: Option<[u8; 32]>) -> Result<(), RecordError> {
        self.with(|writer| {
            if writer.open {
                // A panic in a host call took the guest with it.
                writer.end(&Outcome::Lost);
            }
            writer.put(&format::end(memory));
            let digest = writer.digest.clone().finalize();
            if let Some(mut into) = writer.into.take()
                && writer.failed.is_none()
                && let Err(error) = into.write_all(&digest).and_then(|()| into.flush())
            {
                writer.fail(error);
            }
            writer.failed.clone().map_or(Ok(()), Err)
        })
    }

    fn note(&self, read: &Read) {
        self.with(|writer| writer.put(&format::read(read)));
    }
}

impl Writer {
    fn put(&mut self, bytes: &[u8]) {
        let Some(into) = self.into.as_mut().filter(|_| self.failed.is_none()) else {
            return;
        };
        if self.written.saturating_add(bytes.len() as u64) > MOST_RECORDED {
            self.failed = Some(RecordError::Full);
            return;
        }
        match into.write_all(bytes) {
            Ok(()) => {
                self.digest.update(bytes);
                self.written += bytes.len() as u64;
            }
            Err(error) => self.fail(error),
        }
    }

    fn fail(&mut self, error: std::io::Error) {
        self.failed = Some(RecordError::Write { path: self.path.clone(), source: Arc::new(error) });
    }

    fn begin(&mut self, input: &Input) {
        self.put(&format::input(input));
        self.open = true;
    }

    fn end(&mut self, outcome: &Outcome) {
        self.put(&format::outcome(outcome));
        self.open = false;
    }
}

/// What a recording's engine is known by: the WebAssembly and the globals that are evaluated in it.
pub(crate) fn build_digest() -> [u8; 32] {
    let engine = Sha256::digest(crate::cache::ENGINE);
    Sha256::new().chain_update(engine).chain_update(crate::machine::GLOBALS_WITH_WEBASSEMBLY).finalize().into()
}

/// Where a guest's inputs go, or come from.
#[derive(Default)]
pub(crate) enum Tape {
    #[default]
    Off,
    Record(Recorder),
    Play(Player),
}

impl Tape {
    /// A turn begins with this input.
    pub(crate) fn begin(&self, input: impl FnOnce() -> Input) {
        if let Self::Record(recorder) = self {
            recorder.with(|writer| writer.begin(&input()));
        }
    }

    /// The turn has ended.
    pub(crate) fn end(&self, outcome: Result<&[Outgoing], &SandboxError>) {
        if let Self::Record(recorder) = self {
            recorder.end(outcome);
        }
    }

    /// Random bytes for the guest; false when there are none.
    ///
    /// # Errors
    /// The guest asks for what it had not asked for when it was recorded: it has to be stopped.
    pub(crate) fn random(&mut self, host: &mut dyn HostCalls, into: &mut [u8]) -> Result<bool, SandboxError> {
        let filled = match self {
            Self::Play(player) => return player.random(into),
            Self::Off | Self::Record(_) => host.random(into).is_ok(),
        };
        if let Self::Record(recorder) = self {
            recorder.note(&Read::Random { bytes: into.to_vec(), filled });
        }
        Ok(filled)
    }

    /// The clock, in milliseconds.
    ///
    /// # Errors
    /// As [`Tape::random`].
    pub(crate) fn clock(&mut self, host: &mut dyn HostCalls) -> Result<u64, SandboxError> {
        let now = match self {
            Self::Play(player) => return player.clock(),
            Self::Off | Self::Record(_) => host.now_millis(),
        };
        if let Self::Record(recorder) = self {
            recorder.note(&Read::Clock(now));
        }
        Ok(now)
    }

    /// The answer to a host call.
    ///
    /// # Errors
    /// As [`Tape::random`].
    pub(crate) fn call(
        &mut self,
        name: &str,
        payload: &[u8],
        answer: impl FnOnce() -> Result<Vec<u8>, String>,
    ) -> Result<Result<Vec<u8>, String>, SandboxError> {
        let recorder = match self {
            Self::Off => return Ok(answer()),
            Self::Play(player) => return player.call(name, payload),
            Self::Record(recorder) => recorder,
        };
        let answer = answer();
        let payload = Sha256::digest(payload).into();
        recorder.note(&Read::Call { name: name.to_owned(), payload, answer: answer.clone() });
        Ok(answer)
    }
}

#[cfg(test)]
mod tests;
