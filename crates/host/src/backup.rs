//! The whole wallet in one sealed file, and back; and how an older database is noticed.
//!
//! A backup is a tar archive inside the vault's sealed stream: the keystore, a snapshot of the database (encrypted as it
//! is), the packages of the solutions. It opens with the passphrase the wallet had when it was made.
//!
//! **An old database is dangerous** where a plugin's data is critical: it would sign a state that it has superseded.
//! So a restore marks every solution, and a number that grows with each start is kept both in the database and in a
//! file beside it: a database that is older than the file was put back by hand and is treated as a restore.

use crate::error::HostError;
use crate::wallet::mark_restored;
use crate::{Actor, Host, Operation, blocking, now};
use entresol_durable::{AtomicFile, create_private_dir, write_file_atomically, write_point};
use entresol_store::{JournalIntent, Store};
use entresol_vault::{KdfCost, Vault, backup};
use secrecy::SecretString;
use serde_json::{Value as Json, json};
use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};

/// The sealed keystore in a wallet's home.
pub const KEYSTORE: &str = "keystore.json";
/// The encrypted database in a wallet's home.
pub const DATABASE: &str = "wallet.db";
/// Approved packages in a wallet's home.
pub(crate) const PACKAGES: &str = "packages";
/// How often the daemon has started.
const EPOCH: &str = "epoch";
/// Most entries of a backup; a wallet with this many package files has another problem.
const MAX_ENTRIES: usize = 200_000;

impl Host {
    /// Writes the whole wallet into one sealed file. The wallet goes on meanwhile.
    ///
    /// # Errors
    /// Not authorised; wrong passphrase; the file is there already or cannot be written.
    pub async fn backup(&self, actor: &Actor, file: &Path, passphrase: &SecretString) -> Result<u64, HostError> {
        self.authorize(actor, &Operation::Keep, "backup")?;
        if !file.is_absolute() {
            return Err(HostError::invalid("backup: state an absolute path"));
        }
        if file.symlink_metadata().is_ok() {
            return Err(HostError::invalid(format!("{} is there already; choose another name", file.display())));
        }
        let (vault, store) = (self.vault().clone(), self.store().clone());
        let (home, file, passphrase) = (self.inner.config.home.clone(), file.to_owned(), passphrase.clone());
        let cost = self.inner.config.kdf_cost;
        let intent = JournalIntent {
            solution: None,
            actor: actor.to_string(),
            action: "backup".into(),
            resource: file.display().to_string(),
            detail: Json::Null,
        };
        let work = blocking(move || {
            vault.verify_passphrase(&passphrase)?;
            let folder = tempfile::Builder::new().prefix("backup-").tempdir_in(&home).map_err(|e| io("backup", &e))?;
            let snapshot = folder.path().join(DATABASE);
            store.snapshot_into(&snapshot)?;
            write_backup(&home, &snapshot, &file, &passphrase, cost)
        });
        self.with_passphrase(self.journaled(intent, work)).await
    }

    /// Compares the number of starts in the database with the one beside it, marks an older database as restored, and
    /// counts this start (and, at a clean end, the end).
    pub(crate) fn count_epoch(&self) -> Result<(), HostError> {
        let path = self.inner.config.home.join(EPOCH);
        let beside = match std::fs::read_to_string(&path) {
            Ok(text) => text.trim().parse::<u64>().ok(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(io("the epoch file", &error)),
        };
        let inside = self.store().meta(EPOCH)?.and_then(|value| value.as_u64());
        let rolled_back = match (inside, beside) {
            (None, None) => false,
            (Some(inside), Some(beside)) => inside < beside,
            // One of them is gone: nobody knows how old the database is.
            _ => true,
        };
        if rolled_back {
            tracing::warn!("the database is older than the wallet's last start: treated as a restore");
            mark_restored(self.store())?;
            self.notice(
                None,
                "warning",
                "The wallet's database is older than its last start. Plugins with critical data sign nothing until they \
                 have caught up.",
            );
        }
        let next = inside.unwrap_or_default().max(beside.unwrap_or_default()) + 1;
        // The database first: a crash in between leaves it ahead, which is no roll-back.
        self.store().put_meta(EPOCH, &json!(next))?;
        write_point!("host.epoch.write", write_file_atomically(&path, next.to_string().as_bytes(), false))
            .map_err(|e| io("the epoch file", &e))
    }
}

/// Makes a wallet's home out of a backup. The daemon is not running; `home` is not there, or empty. Gives the number of
/// solutions. Slow on purpose, as opening is.
///
/// # Errors
/// Wrong passphrase, a damaged file, a home that holds a wallet. Nothing is at `home` then.
#[allow(clippy::disallowed_methods, reason = "the folder in the making; the durable moment is the rename")]
pub fn restore(home: &Path, file: &Path, passphrase: &SecretString) -> Result<usize, HostError> {
    if std::fs::read_dir(home).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(HostError::invalid(format!(
            "{} holds a wallet already; restore into another --home, or move it away",
            home.display()
        )));
    }
    let input = std::fs::File::open(file).map_err(|e| io(&file.display().to_string(), &e))?;
    let mut reader = backup::open(std::io::BufReader::new(input), passphrase)?;
    let parent = home.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_private_dir(parent).map_err(|e| io(&parent.display().to_string(), &e))?;
    // A wallet's home is its owner's alone, from the first moment on.
    let private = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o700);
    let folder = tempfile::Builder::new().prefix(".restore-").permissions(private).tempdir_in(parent);
    let folder = folder.map_err(|e| io("the new home", &e))?;
    unpack(&mut reader, folder.path())?;
    // An archive ends before its file does: only now is it known that nothing was cut off or added.
    reader.finish().map_err(|e| HostError::invalid(format!("the backup is damaged: {e}; use another one")))?;
    let (_, key) = Vault::open(&folder.path().join(KEYSTORE), passphrase)?;
    let store = Store::open(&folder.path().join(DATABASE), key.expose())?;
    store.integrity_check()?;
    mark_restored(&store)?;
    let solutions = store.solutions()?.len();
    drop(store);
    let made = folder.keep();
    let moved = write_point!("host.restore.write", {
        let _ = std::fs::remove_dir(home);
        std::fs::rename(&made, home)
    });
    if let Err(error) = moved {
        let _ = std::fs::remove_dir_all(&made);
        return Err(io(&home.display().to_string(), &error));
    }
    Ok(solutions)
}

fn write_backup(
    home: &Path,
    snapshot: &Path,
    file: &Path,
    passphrase: &SecretString,
    cost: KdfCost,
) -> Result<u64, HostError> {
    let failed = |e: std::io::Error| io(&file.display().to_string(), &e);
    let out = AtomicFile::create(file, 0o600).map_err(failed)?;
    let mut archive = tar::Builder::new(backup::seal(out, passphrase, cost)?);
    archive.follow_symlinks(false);
    let about = json!({ "version": 1, "madeAt": now(), "program": env!("CARGO_PKG_VERSION") }).to_string();
    let mut header = tar::Header::new_gnu();
    header.set_size(about.len() as u64);
    header.set_mode(0o600);
    archive.append_data(&mut header, "backup.json", about.as_bytes()).map_err(failed)?;
    archive.append_path_with_name(home.join(KEYSTORE), KEYSTORE).map_err(failed)?;
    archive.append_path_with_name(snapshot, DATABASE).map_err(failed)?;
    let packages = home.join(PACKAGES);
    if packages.is_dir() {
        archive.append_dir_all(PACKAGES, &packages).map_err(failed)?;
    }
    let mut sealed = archive.into_inner().map_err(failed)?;
    sealed.flush().map_err(failed)?;
    let out = sealed.finish().map_err(failed)?;
    write_point!("host.backup.write", out.commit()).map_err(failed)?;
    Ok(std::fs::metadata(file).map_err(failed)?.len())
}

/// Entry by entry: known names, regular files and folders only, nothing outside the folder.
fn unpack(reader: impl Read, folder: &Path) -> Result<(), HostError> {
    let damaged = |why: String| HostError::invalid(format!("the backup is damaged or of another program: {why}"));
    let mut archive = tar::Archive::new(reader);
    archive.set_preserve_permissions(false);
    archive.set_overwrite(false);
    let entries = archive.entries().map_err(|e| damaged(e.to_string()))?;
    for (count, entry) in entries.enumerate() {
        let mut entry = entry.map_err(|e| damaged(e.to_string()))?;
        let path: PathBuf = entry.path().map_err(|e| damaged(e.to_string()))?.into_owned();
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        let known = path == Path::new("backup.json")
            || path == Path::new(KEYSTORE)
            || path == Path::new(DATABASE)
            || path.starts_with(PACKAGES);
        let kind = entry.header().entry_type();
        if count >= MAX_ENTRIES || !plain || !known || !(kind.is_file() || kind.is_dir()) {
            return Err(damaged(format!("unexpected entry {}", path.display())));
        }
        if path == Path::new("backup.json") {
            let mut text = String::new();
            entry.by_ref().take(4096).read_to_string(&mut text).map_err(|e| damaged(e.to_string()))?;
            let about: Json = serde_json::from_str(&text).map_err(|e| damaged(e.to_string()))?;
            if about["version"] != json!(1) {
                return Err(HostError::invalid("this backup was made by a newer program; restore it with that one"));
            }
            continue;
        }
        entry.unpack_in(folder).map_err(|e| damaged(crate::error::chain(&e)))?;
    }
    for needed in [KEYSTORE, DATABASE] {
        if !folder.join(needed).is_file() {
            return Err(damaged(format!("{needed} is missing")));
        }
    }
    Ok(())
}

fn io(what: &str, error: &std::io::Error) -> HostError {
    HostError::internal(format!("{what}: {error}"))
}

#[cfg(test)]
mod tests;
