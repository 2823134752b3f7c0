//! A snapshot as a file.
//!
//! Key and digest first, as for the compiled engine beside it, then numbers and bytes in a fixed order: the memory's
//! size, its pieces that are not zeros, what was asked for, the waiting timers. The digest is taken over the bytes that
//! were read, and those bytes are used. Whatever does not fit means: evaluate the script again.
//!
//! A file is taken only if it is a plain file of this user that nobody else may write to or read; one behind a link is
//! not followed. Its name says for which evaluation it is, and so does the key in it: a file under another's name is
//! refused.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use entresol_durable::{write_file_atomically, write_point};
use sha2::{Digest, Sha256};

use super::{Key, Snapshot, is_whole};
use crate::image;
use crate::{Engine, HostFault, LogLevel, Outgoing};

/// How the name of a snapshot ends.
const ENDING: &str = "snapshot";

/// Most files kept; the oldest go. Each version of each plugin leaves one.
const MOST_FILES: usize = 128;

/// Most bytes of them.
const MOST_BYTES: u64 = 512 << 20;

/// Zeros shorter than a page of the kernel are kept as they are.
const GRAIN: usize = 4096;

const DIGEST: usize = 32;

/// What a file says; the memory's bytes are the file's own.
pub(super) struct Parts<'a> {
    /// Bytes of the memory.
    pub(super) length: usize,
    /// What is not zero of it: where, and the bytes, one behind the other.
    pub(super) pieces: Vec<(usize, &'a [u8])>,
    pub(super) outgoing: Vec<Outgoing>,
    pub(super) timers: Vec<u32>,
}

impl Parts<'_> {
    pub(super) fn into_snapshot(self, engine: &Engine) -> Result<Snapshot, HostFault> {
        let encoded = image::encode_pieces(self.length, &self.pieces);
        Snapshot::of(engine, &encoded, self.length, self.outgoing, self.timers)
    }
}

pub(super) fn path(dir: &Path, key: &Key) -> PathBuf {
    dir.join(format!("{}.{ENDING}", key.hex()))
}

/// Reads what [`write`] wrote for this key and lets `take` have it. `most` is the cap on the instance's memory.
#[allow(clippy::disallowed_methods, reason = "opened for reading only, by options because a link must not be followed")]
pub(super) fn read<T>(
    dir: &Path,
    key: &Key,
    most: usize,
    take: impl FnOnce(Parts<'_>) -> Result<T, String>,
) -> Result<T, String> {
    let path = path(dir, key);
    let text = |error: std::io::Error| error.to_string();
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let mut file = File::options().read(true).custom_flags(nofollow).open(&path).map_err(text)?;
    let found = file.metadata().map_err(text)?;
    allowed(found.is_file(), found.uid(), found.permissions().mode(), rustix::process::geteuid().as_raw())?;
    // A file holds less than the memory it describes, and a little.
    if found.len() > (most as u64).saturating_mul(2) {
        return Err("the file is larger than a snapshot can be".to_owned());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or_default());
    (&mut file).take(found.len()).read_to_end(&mut bytes).map_err(text)?;
    let taken = take(decode(&bytes, key, most)?)?;
    // So that the oldest are those that nobody uses; if it fails, they go a little early.
    let _ = file.set_modified(SystemTime::now());
    Ok(taken)
}

/// Who may have written a file that is taken.
pub(super) fn allowed(is_file: bool, owner: u32, mode: u32, me: u32) -> Result<(), String> {
    if !is_file {
        return Err("it is not a file".to_owned());
    }
    if owner != me {
        return Err("it belongs to another user".to_owned());
    }
    if mode & 0o077 != 0 {
        return Err("others may use it".to_owned());
    }
    Ok(())
}

/// Puts a snapshot into the directory and removes what is too much there.
pub(super) fn write(
    dir: &Path,
    key: &Key,
    memory: &[u8],
    outgoing: &[Outgoing],
    timers: &[u32],
) -> std::io::Result<()> {
    let bytes = encode(key, memory, outgoing, timers);
    write_point!("sandbox.snapshot.write", write_file_atomically(&path(dir, key), &bytes, false))?;
    prune(dir, MOST_FILES, MOST_BYTES)
}

/// Removes the files that were not used for longest, until what stays is within both numbers.
#[allow(clippy::disallowed_methods, reason = "a cache: what is lost by a crash here is evaluated again")]
pub(super) fn prune(dir: &Path, most_files: usize, most_bytes: u64) -> std::io::Result<()> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|ending| ending == ENDING) {
            let found = entry.metadata()?;
            files.push((found.modified()?, found.len(), entry.path()));
        }
    }
    files.sort();
    let mut bytes: u64 = files.iter().map(|(_, length, _)| length).sum();
    let mut count = files.len();
    for (_, length, path) in files {
        // The newest stays, however large.
        if count <= 1 || (count <= most_files && bytes <= most_bytes) {
            break;
        }
        std::fs::remove_file(path)?;
        count -= 1;
        bytes = bytes.saturating_sub(length);
    }
    Ok(())
}

pub(super) fn encode(key: &Key, memory: &[u8], outgoing: &[Outgoing], timers: &[u32]) -> Vec<u8> {
    let mut body = Writer(Vec::with_capacity(memory.len() + 4096));
    body.0.extend_from_slice(&key.0);
    body.0.extend_from_slice(&[0; DIGEST]);
    body.number(memory.len());
    let pieces: Vec<_> = memory.chunks(GRAIN).enumerate().filter(|(_, piece)| piece.iter().any(|b| *b != 0)).collect();
    body.number(pieces.len());
    for (index, piece) in pieces {
        body.number(index);
        body.bytes(piece);
    }
    body.number(outgoing.len());
    for one in outgoing {
        match one {
            Outgoing::Message(bytes) => {
                body.number(MESSAGE);
                body.bytes(bytes);
            }
            Outgoing::Log { level, text } => {
                body.number(LOG);
                body.number(LEVELS.iter().position(|known| known == level).unwrap_or(1));
                body.bytes(text.as_bytes());
            }
            Outgoing::Timer { id, delay_ms } => {
                body.number(TIMER);
                body.number(*id as usize);
                body.number(usize::try_from(*delay_ms).unwrap_or(usize::MAX));
            }
            Outgoing::ClearTimer { id } => {
                body.number(CLEAR_TIMER);
                body.number(*id as usize);
            }
            Outgoing::Uncaught { message, stack } => {
                body.number(UNCAUGHT);
                body.bytes(message.as_bytes());
                body.bytes(stack.as_bytes());
            }
        }
    }
    body.number(timers.len());
    for timer in timers {
        body.number(*timer as usize);
    }
    let mut file = body.0;
    let digest = digest(key, &file[2 * DIGEST..]);
    file[DIGEST..2 * DIGEST].copy_from_slice(&digest);
    file
}

pub(super) fn decode<'a>(file: &'a [u8], key: &Key, most: usize) -> Result<Parts<'a>, String> {
    let (found_key, rest) = file.split_at_checked(DIGEST).ok_or("the file is too short")?;
    let (found_digest, body) = rest.split_at_checked(DIGEST).ok_or("the file is too short")?;
    if found_key != key.0 {
        return Err("it is of another script, engine or limit".to_owned());
    }
    if found_digest != digest(key, body) {
        return Err("the file is damaged".to_owned());
    }
    parse(body, most).ok_or_else(|| "the file says what no snapshot says".to_owned())
}

fn parse(body: &[u8], most: usize) -> Option<Parts<'_>> {
    let mut body = Reader(body);
    let length = body.number()?;
    if length > most || !is_whole(length) {
        return None;
    }
    let mut pieces: Vec<(usize, &[u8])> = Vec::new();
    let mut end = 0;
    for _ in 0..body.number()? {
        let at = body.number()?.checked_mul(GRAIN)?;
        let piece = body.bytes()?;
        if at < end {
            return None;
        }
        end = at.checked_add(piece.len())?;
        if end > length {
            return None;
        }
        pieces.push((at, piece));
    }
    let mut outgoing = Vec::new();
    for _ in 0..body.number()? {
        outgoing.push(match body.number()? {
            MESSAGE => Outgoing::Message(body.bytes()?.to_vec()),
            LOG => Outgoing::Log { level: *LEVELS.get(body.number()?)?, text: body.text()? },
            TIMER => Outgoing::Timer { id: body.id()?, delay_ms: body.number()? as u64 },
            CLEAR_TIMER => Outgoing::ClearTimer { id: body.id()? },
            UNCAUGHT => Outgoing::Uncaught { message: body.text()?, stack: body.text()? },
            _ => return None,
        });
    }
    let mut timers = Vec::new();
    for _ in 0..body.number()? {
        timers.push(body.id()?);
    }
    body.0.is_empty().then_some(Parts { length, pieces, outgoing, timers })
}

const MESSAGE: usize = 0;
const LOG: usize = 1;
const TIMER: usize = 2;
const CLEAR_TIMER: usize = 3;
const UNCAUGHT: usize = 4;
const LEVELS: [LogLevel; 4] = [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error];

fn digest(key: &Key, body: &[u8]) -> [u8; DIGEST] {
    Sha256::new().chain_update(key.0).chain_update(body).finalize().into()
}

/// Numbers of eight bytes, and bytes with their count before them.
struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, number: usize) {
        self.0.extend_from_slice(&(number as u64).to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len());
        self.0.extend_from_slice(bytes);
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<usize> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        usize::try_from(u64::from_le_bytes(*number)).ok()
    }

    fn id(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }
}
