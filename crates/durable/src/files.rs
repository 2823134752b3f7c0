//! Files written whole or not at all.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

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
#[allow(clippy::disallowed_methods, reason = "called inside write_point! only; the macro's own file writer")]
pub fn write_file_atomically(path: &Path, bytes: &[u8], executable: bool) -> io::Result<()> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut name = path.file_name().ok_or_else(|| io::Error::other("a file name is needed"))?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let temporary = directory.join(name);
    let result = (|| {
        let mode = if executable { 0o700 } else { 0o600 };
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        File::open(directory)?.sync_all()
    })();
    if result.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    result
}
