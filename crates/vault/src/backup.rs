//! A backup: one sealed file, written and read as a stream.
//!
//! ```text
//! header   "entresol backup\n", version, cost, salt, nonce prefix           (83 bytes)
//!          the first 16 bytes of keccak256 of these                         (damage of the header is found)
//!          tag over nothing, under the key                                  (a wrong passphrase is called that)
//! chunks   64 KiB each, the last one shorter or equal, each with a tag of 16 bytes
//! ```
//! The key is Argon2id of the passphrase with the header's own salt and cost: it has nothing to do with the wallet's
//! keystore. Chunks are sealed by XChaCha20-Poly1305 in the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár,
//! "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", 2015): the nonce is the prefix of 19 bytes,
//! the chunk's number (32 bits, big-endian) and a byte that tells what it is (0 a chunk, 1 the last one, 2 the tag of
//! the header), and the whole header is associated data of each. Chunks that are cut off, exchanged, repeated, appended
//! or changed are found. All numbers are big-endian. Memory is constant: one chunk.

use std::fmt;
use std::io::{self, Read, Write};

use alloy::primitives::keccak256;
use chacha20poly1305::aead::{AeadInOut, Tag};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::VaultError;
use crate::kdf::{KdfCost, not_empty, random, stretch};
use crate::locked::Locked;

/// First bytes of a backup.
const MAGIC: &[u8; 16] = b"entresol backup\n";

/// Version that is written.
const VERSION: u32 = 1;

/// Bytes of plain text in a chunk. Large enough that tags cost nothing, small enough to be held in memory.
const CHUNK: usize = 64 * 1024;

const TAG: usize = 16;
const PREFIX: usize = 19;

/// Magic, version, cost, salt, nonce prefix.
const NUMBERS: usize = 16 + 4 + 12 + 32 + PREFIX;

/// With its checksum; what is associated data of every chunk.
const HEADER: usize = NUMBERS + 16;

/// What a sealed piece is; the last byte of its nonce.
#[derive(Clone, Copy)]
enum Piece {
    Chunk = 0,
    Last = 1,
    Header = 2,
}

/// Key, header and count of one stream.
struct Stream {
    key: Locked,
    header: [u8; HEADER],
    next: u32,
}

impl Stream {
    fn new(key: Locked, header: [u8; HEADER]) -> Self {
        Self { key, header, next: 0 }
    }

    fn nonce(&self, piece: Piece, number: u32) -> XNonce {
        let mut nonce = [0; 24];
        nonce[..PREFIX].copy_from_slice(&self.header[NUMBERS - PREFIX..NUMBERS]);
        nonce[PREFIX..23].copy_from_slice(&number.to_be_bytes());
        nonce[23] = piece as u8;
        XNonce::from(nonce)
    }

    fn seal(&self, piece: Piece, buffer: &mut [u8]) -> Option<Tag<XChaCha20Poly1305>> {
        let nonce = self.nonce(piece, self.next);
        XChaCha20Poly1305::new(self.key.get(0).into()).encrypt_inout_detached(&nonce, &self.header, buffer.into()).ok()
    }

    /// Opens `buffer` in place; what is in it is of no use when this is false.
    fn open(&self, piece: Piece, buffer: &mut [u8], tag: [u8; TAG]) -> bool {
        let nonce = self.nonce(piece, self.next);
        XChaCha20Poly1305::new(self.key.get(0).into())
            .decrypt_inout_detached(&nonce, &self.header, buffer.into(), &tag.into())
            .is_ok()
    }

    /// 2³² chunks are 256 TiB.
    fn advance(&mut self) -> io::Result<()> {
        self.next = self.next.checked_add(1).ok_or_else(|| io::Error::other("a backup holds at most 256 TiB"))?;
        Ok(())
    }
}

fn checksum(numbers: &[u8]) -> [u8; 16] {
    let mut sum = [0; 16];
    sum.copy_from_slice(&keccak256(numbers)[..16]);
    sum
}

/// Starts a backup: writes its header. Takes as long as `cost` says; not for an async thread.
///
/// The file is whole only after [`BackupWriter::finish`]; without that it is found to be cut off when it is read.
///
/// # Errors
/// [`EmptyPassphrase`](VaultError::EmptyPassphrase), [`Cost`](VaultError::Cost),
/// [`BackupFile`](VaultError::BackupFile).
pub fn seal<W: Write>(mut out: W, passphrase: &SecretString, cost: KdfCost) -> Result<BackupWriter<W>, VaultError> {
    not_empty(passphrase)?;
    let salt = random::<32>()?;
    let prefix = random::<PREFIX>()?;
    let numbers = [&MAGIC[..], &VERSION.to_be_bytes(), &cost.to_bytes(), &salt, &prefix].concat();
    let mut header = [0; HEADER];
    header[..NUMBERS].copy_from_slice(&numbers);
    header[NUMBERS..].copy_from_slice(&checksum(&numbers));
    let stream = Stream::new(stretch(passphrase, &salt, cost)?, header);
    let tag = stream.seal(Piece::Header, &mut []).ok_or(VaultError::Crypto { what: "sealing the backup" })?;
    let write = |source| VaultError::BackupFile { source };
    out.write_all(&header).map_err(write)?;
    out.write_all(&tag).map_err(write)?;
    Ok(BackupWriter { out, stream, buffer: Zeroizing::new(Vec::with_capacity(CHUNK)) })
}

/// A backup being written. What is written into it is sealed in chunks.
pub struct BackupWriter<W: Write> {
    out: W,
    stream: Stream,
    buffer: Zeroizing<Vec<u8>>,
}

impl<W: Write> BackupWriter<W> {
    fn write_chunk(&mut self, piece: Piece) -> io::Result<()> {
        let tag = self.stream.seal(piece, &mut self.buffer).ok_or_else(|| io::Error::other("sealing failed"))?;
        self.stream.advance()?;
        self.out.write_all(&self.buffer)?;
        self.out.write_all(&tag)?;
        self.buffer.clear();
        Ok(())
    }

    /// Writes the last chunk and gives back what was written to. Flushing a file to the disk is for the caller.
    ///
    /// # Errors
    /// Any error of the output.
    pub fn finish(mut self) -> io::Result<W> {
        self.write_chunk(Piece::Last)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Write for BackupWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk waits until it is known whether it is the last one.
        if self.buffer.len() == CHUNK && !bytes.is_empty() {
            self.write_chunk(Piece::Chunk)?;
        }
        let taken = bytes.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    /// What waits for its chunk to become full is written by [`finish`](BackupWriter::finish) only.
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<W: Write> fmt::Debug for BackupWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackupWriter").field("chunks", &self.stream.next).finish_non_exhaustive()
    }
}

/// Opens a backup: reads its header and checks the passphrase. Takes as long as the cost in the header says, which is
/// bounded; not for an async thread.
///
/// # Errors
/// [`NotABackup`](VaultError::NotABackup), [`NewerBackup`](VaultError::NewerBackup),
/// [`BackupDamaged`](VaultError::BackupDamaged), [`Cost`](VaultError::Cost),
/// [`WrongPassphrase`](VaultError::WrongPassphrase), [`BackupFile`](VaultError::BackupFile).
pub fn open<R: Read>(mut input: R, passphrase: &SecretString) -> Result<BackupReader<R>, VaultError> {
    let mut header = [0; HEADER];
    let mut tag = [0; TAG];
    let found = fill(&mut input, &mut header).map_err(|source| VaultError::BackupFile { source })?;
    let begin = &header[..found.min(MAGIC.len())];
    if begin != &MAGIC[..begin.len()] || found == 0 {
        return Err(VaultError::NotABackup);
    }
    let cut = VaultError::BackupDamaged { reason: "it is cut off in its header" };
    if found < HEADER {
        return Err(cut);
    }
    let number = |at: usize| header[at..].first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    let version = number(16);
    // A newer version may have another header, so its checksum is not asked for.
    if version > VERSION {
        return Err(VaultError::NewerBackup { found: version, known: VERSION });
    }
    if checksum(&header[..NUMBERS]) != header[NUMBERS..] || version == 0 {
        return Err(VaultError::BackupDamaged { reason: "its header" });
    }
    let cost = KdfCost { memory_kib: number(20), passes: number(24), lanes: number(28) };
    let mut salt = [0; 32];
    salt.copy_from_slice(&header[32..64]);
    if fill(&mut input, &mut tag).map_err(|source| VaultError::BackupFile { source })? < TAG {
        return Err(cut);
    }
    let stream = Stream::new(stretch(passphrase, &salt, cost)?, header);
    if !stream.open(Piece::Header, &mut [], tag) {
        return Err(VaultError::WrongPassphrase);
    }
    let buffer = Zeroizing::new(vec![0; CHUNK + TAG]);
    Ok(BackupReader { input, stream, buffer, from: 0, to: 0, ahead: None, state: State::More })
}

/// Reads until the buffer is full or the input has ended.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut found = 0;
    while found < buffer.len() {
        match input.read(&mut buffer[found..]) {
            Ok(0) => break,
            Ok(count) => found += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    More,
    Ended,
    Damaged(&'static str),
}

/// A backup being read. Gives out only what was checked; its end is given out only when the last chunk was there.
pub struct BackupReader<R: Read> {
    input: R,
    stream: Stream,
    buffer: Zeroizing<Vec<u8>>,
    /// What of the buffer is checked and not given out yet.
    from: usize,
    to: usize,
    /// The byte after the last chunk that was read: without one that chunk is the last.
    ahead: Option<u8>,
    state: State,
}

impl<R: Read> BackupReader<R> {
    /// Reads to the end and checks it: to be called before anything that was read is used, because an archive may end
    /// before its file does.
    ///
    /// # Errors
    /// As [`read`](Read::read).
    pub fn finish(mut self) -> io::Result<R> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(self.input)
    }

    fn read_chunk(&mut self) -> io::Result<()> {
        let begin = usize::from(self.ahead.is_some());
        if let Some(byte) = self.ahead.take() {
            self.buffer[0] = byte;
        }
        let found = begin + fill(&mut self.input, &mut self.buffer[begin..])?;
        let mut next = [0];
        if found == CHUNK + TAG && fill(&mut self.input, &mut next)? == 1 {
            self.ahead = Some(next[0]);
        }
        let piece = if self.ahead.is_some() { Piece::Chunk } else { Piece::Last };
        self.state = self.open_chunk(piece, found);
        self.stream.advance()
    }

    fn open_chunk(&mut self, piece: Piece, found: usize) -> State {
        let Some((text, tag)) = self.buffer[..found].split_last_chunk_mut::<TAG>() else {
            return State::Damaged("it is cut off");
        };
        let tag = *tag;
        (self.from, self.to) = (0, text.len());
        if self.stream.open(piece, text, tag) {
            return if matches!(piece, Piece::Last) { State::Ended } else { State::More };
        }
        (self.from, self.to) = (0, 0);
        State::Damaged("a part of it was changed, or it is cut off, or something was added to it")
    }
}

impl<R: Read> Read for BackupReader<R> {
    /// # Errors
    /// Any error of the input; [`InvalidData`](io::ErrorKind::InvalidData) with
    /// [`BackupDamaged`](VaultError::BackupDamaged) inside for whatever is not as it was written.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.from == self.to {
            match self.state {
                State::More => self.read_chunk()?,
                State::Ended => return Ok(0),
                State::Damaged(reason) => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, VaultError::BackupDamaged { reason }));
                }
            }
        }
        let taken = out.len().min(self.to - self.from);
        out[..taken].copy_from_slice(&self.buffer[self.from..][..taken]);
        self.from += taken;
        Ok(taken)
    }
}

impl<R: Read> fmt::Debug for BackupReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackupReader").field("chunks", &self.stream.next).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
