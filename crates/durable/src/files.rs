//! Files written whole or not at all.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Creates `dir` and its parents, readable by the owner only (mode 0700 on what is created).
///
/// # Errors
/// Any error of the file system.
pub fn create_private_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Writes `bytes` to `path` so that after a crash the old or the new content is there, never a mixture: temporary
/// file beside it, flush, rename, flush of the directory. Mode 0600 (0700 with `executable`).
///
/// Call it inside [`write_point!`](crate::write_point).
///
/// # Errors
/// Any error of the file system; the temporary file is removed again.
pub fn write_file_atomically(path: &Path, bytes: &[u8], executable: bool) -> io::Result<()> {
    let mut file = AtomicFile::create(path, if executable { 0o700 } else { 0o600 })?;
    file.write_all(bytes)?;
    file.commit()
}

/// A file in the making, for content too large to hold: written beside `path`, and put in its place by
/// [`commit`](Self::commit). Dropped without it, nothing stays.
#[derive(Debug)]
pub struct AtomicFile {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    committed: bool,
}

impl AtomicFile {
    /// Starts the file with these permissions. Nothing stands at `path` yet.
    ///
    /// # Errors
    /// Any error of the file system.
    #[allow(clippy::disallowed_methods, reason = "the temporary file; the durable moment is `commit`")]
    pub fn create(path: &Path, mode: u32) -> io::Result<Self> {
        let mut name = path.file_name().ok_or_else(|| io::Error::other("a file name is needed"))?.to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let temporary = directory(path).join(name);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
        Ok(Self { file, temporary, path: path.to_owned(), committed: false })
    }

    /// Flushes the content and puts the file in its place. Call it inside [`write_point!`](crate::write_point).
    ///
    /// # Errors
    /// Any error of the file system; what stood at the path before is still there then.
    #[allow(clippy::disallowed_methods, reason = "called inside write_point! only; the macro's own file writer")]
    pub fn commit(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.temporary, &self.path)?;
        self.committed = true;
        File::open(directory(&self.path))?.sync_all()
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for AtomicFile {
    #[allow(clippy::disallowed_methods, reason = "a file that nobody was told of")]
    fn drop(&mut self) {
        if !self.committed {
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
