//! npm tarballs, read entry by entry into memory.
//!
//! Nothing is unpacked to disk by the archive's rules. Only plain files are taken; a link, a device, a path that
//! leaves the package, a name that stands twice, too many or too large files each refuse the whole archive, because
//! no honest npm package has them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use flate2::bufread::GzDecoder;
use tar::EntryType;

use crate::manifest::PackagePath;

/// How much an archive may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most bytes of all files together, unpacked. Also bounds what a gzip bomb can make us inflate.
    pub total_bytes: u64,
    /// Most entries, files and folders.
    pub entries: usize,
}

impl Limits {
    /// For plugins. A generous bundle of JavaScript is below 5 MiB.
    pub const PLUGIN: Self = Self { total_bytes: 32 << 20, entries: 2_000 };

    /// For one native executable.
    pub const EXECUTABLE: Self = Self { total_bytes: 256 << 20, entries: 64 };
}

/// Why an archive is refused.
#[derive(Debug, thiserror::Error)]
pub enum TarballError {
    /// The bytes are no gzip-compressed tar archive.
    #[error("the tarball is damaged or no .tgz file")]
    Damaged(#[source] io::Error),
    /// Something stands behind the end of the archive.
    #[error("the tarball has data behind its end; pack it again with `npm pack`")]
    Trailing,
    /// A link, device, or other entry that is no plain file.
    #[error("the tarball has an entry that is no plain file: {path} ({kind}); only plain files are accepted")]
    NotAFile {
        /// Its path, shortened.
        path: String,
        /// `symbolic link`, `hard link`, …
        kind: &'static str,
    },
    /// A path outside the package, or one that cannot be shown.
    #[error("the tarball has a path that is refused: {problem}")]
    Path {
        /// Names the path.
        problem: String,
    },
    /// Two entries would be one file on some file system.
    #[error("the tarball has {0} twice (capital letters do not count)")]
    Twice(String),
    /// More entries than allowed.
    #[error("the tarball has more than {0} entries")]
    TooMany(usize),
    /// More bytes than allowed.
    #[error("the tarball unpacks to more than {0} bytes")]
    TooLarge(u64),
}

/// Reads all files of a `.tgz` archive; paths are without npm's leading folder (`package/`).
///
/// # Errors
/// [`TarballError`]; the whole archive is refused for one bad entry.
pub fn read(archive: &[u8], limits: Limits) -> Result<BTreeMap<PackagePath, Vec<u8>>, TarballError> {
    let mut compressed = archive;
    let mut files = BTreeMap::new();
    {
        // Tar headers and padding come on top of the files: 512 bytes each, per entry, and some for long names.
        let overhead = (limits.entries as u64) * 4_096 + 65_536;
        let mut inflated =
            Capped { inner: GzDecoder::new(&mut compressed), left: limits.total_bytes + overhead, exceeded: false };
        let result = read_entries(&mut inflated, limits, &mut files);
        if inflated.exceeded {
            return Err(TarballError::TooLarge(limits.total_bytes));
        }
        result?;
    }
    if compressed.is_empty() { Ok(files) } else { Err(TarballError::Trailing) }
}

fn read_entries(
    inflated: &mut impl Read,
    limits: Limits,
    files: &mut BTreeMap<PackagePath, Vec<u8>>,
) -> Result<(), TarballError> {
    let mut archive = tar::Archive::new(&mut *inflated);
    let mut seen = BTreeSet::new();
    let mut folder: Option<String> = None;
    let mut left = limits.total_bytes;
    for (count, entry) in archive.entries().map_err(TarballError::Damaged)?.enumerate() {
        if count >= limits.entries {
            return Err(TarballError::TooMany(limits.entries));
        }
        let mut entry = entry.map_err(TarballError::Damaged)?;
        let raw = entry.path_bytes().into_owned();
        let shown: String = String::from_utf8_lossy(&raw).chars().take(120).collect();
        let kind = match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => None,
            // A comment for the whole archive (git writes one), and folders, which files imply anyway.
            EntryType::XGlobalHeader => continue,
            EntryType::Directory => Some("folder"),
            EntryType::Symlink => Some("symbolic link"),
            EntryType::Link => Some("hard link"),
            EntryType::GNUSparse => Some("sparse file"),
            EntryType::Char | EntryType::Block | EntryType::Fifo => Some("device"),
            _ => Some("unknown type"),
        };
        let is_folder = kind == Some("folder");
        if let Some(kind) = kind
            && !is_folder
        {
            return Err(TarballError::NotAFile { path: format!("{shown:?}"), kind });
        }
        let text = String::from_utf8(raw).map_err(|_| refused(format!("{shown:?} is not UTF-8")))?;
        if text.starts_with('/') {
            return Err(refused(format!("{shown:?} is absolute")));
        }
        // npm drops the first folder whatever its name; one name for all keeps two trees from being laid over another.
        let trimmed = if is_folder { text.trim_end_matches('/') } else { text.as_str() };
        let (first, rest) = match trimmed.split_once('/') {
            Some((first, rest)) => (first, rest),
            None if is_folder => (trimmed, ""),
            None => return Err(refused(format!("{shown:?} is not below a folder such as package/"))),
        };
        if matches!(first, "" | "." | "..") || folder.get_or_insert_with(|| first.to_owned()) != first {
            return Err(refused(format!("{shown:?} is not below the package's one folder")));
        }
        if is_folder {
            if !rest.is_empty() {
                rest.parse::<PackagePath>().map_err(refused)?;
            }
            continue;
        }
        let path: PackagePath = rest.parse().map_err(refused)?;
        if path.as_str() != rest {
            return Err(refused(format!("{shown:?} has an empty, \".\" or \"..\" part")));
        }
        if !seen.insert(path.as_str().to_lowercase()) {
            return Err(TarballError::Twice(path.to_string()));
        }
        if entry.size() > left {
            return Err(TarballError::TooLarge(limits.total_bytes));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(TarballError::Damaged)?;
        if bytes.len() as u64 != entry.size() {
            return Err(TarballError::Damaged(io::ErrorKind::UnexpectedEof.into()));
        }
        left -= bytes.len() as u64;
        files.insert(path, bytes);
    }
    // Reading to the end checks gzip's own checksum. Behind the archive's end only padding may follow: some readers go
    // on there, and would see other files than we did.
    let mut block = [0; 8_192];
    loop {
        let count = inflated.read(&mut block).map_err(TarballError::Damaged)?;
        if count == 0 {
            return Ok(());
        }
        if block[..count].iter().any(|&byte| byte != 0) {
            return Err(TarballError::Trailing);
        }
    }
}

fn refused(problem: String) -> TarballError {
    TarballError::Path { problem }
}

/// Stops a gzip bomb: inflates `left` bytes and no more.
struct Capped<R> {
    inner: R,
    left: u64,
    exceeded: bool,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            // One byte more tells "exactly full" from "too much".
            let mut probe = [0];
            if self.inner.read(&mut probe)? == 0 {
                return Ok(0);
            }
            self.exceeded = true;
            return Err(io::Error::other("too large"));
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.inner.read(&mut buffer[..most])?;
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
