//! Copies for backups, and the check of a file that may be damaged.

use std::path::Path;

use entresol_durable::write_point;

use crate::StoreError;
use crate::database::{Store, make_private};

impl Store {
    /// Writes a copy of the database to `path`, which must not exist: everything acknowledged before the call, nothing
    /// later, encrypted with the same key, mode 0600. Writes wait for it.
    ///
    /// # Errors
    /// [`File`](StoreError::File) when `path` exists or cannot be created, [`DiskFull`](StoreError::DiskFull). What was
    /// begun of the copy is removed.
    pub fn snapshot_into(&self, path: &Path) -> Result<(), StoreError> {
        let file = |source| StoreError::File { path: path.to_owned(), source };
        if path.exists() {
            return Err(file(std::io::ErrorKind::AlreadyExists.into()));
        }
        let text = path.to_str().ok_or_else(|| file(std::io::ErrorKind::InvalidFilename.into()))?;
        let connection = self.connection();
        let result = write_point!("store.snapshot.write", {
            make_private(path).map_err(file).and_then(|()| {
                connection.execute("VACUUM INTO ?1", [text])?;
                std::fs::File::open(path).and_then(|copy| copy.sync_all()).map_err(file)
            })
        });
        if result.is_err() {
            remove(path);
        }
        result
    }

    /// Reads the whole file and reports damage. It takes as long as reading the file does.
    ///
    /// # Errors
    /// [`Damaged`](StoreError::Damaged) with the first finding.
    pub fn integrity_check(&self) -> Result<(), StoreError> {
        let connection = self.connection();
        // Pages of the main file against their authentication codes, then the tables and indices as they are read.
        for check in ["cipher_integrity_check", "quick_check(1)"] {
            let mut statement = connection.prepare(&format!("PRAGMA {check}"))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let finding: String = row.get(0)?;
                if finding != "ok" {
                    return Err(StoreError::Damaged { finding });
                }
            }
        }
        Ok(())
    }
}

#[allow(clippy::disallowed_methods, reason = "a copy that was not finished and that nobody was told of")]
fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
}

#[cfg(test)]
mod tests;
