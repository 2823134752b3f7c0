//! Installed solutions and what was granted to them.

use entresol_durable::write_point;
use rusqlite::{Connection, OptionalExtension, Row, Transaction};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::approvals::{self, ApprovalState};
use crate::database::{Store, begin};
use crate::row::text_enum;
use crate::{SolutionId, StoreError, callers, policies, row};

text_enum! {
    /// Whether a solution runs.
    pub enum SolutionStatus {
        /// It runs whenever the daemon runs.
        Active = "active",
        /// Installed, stopped until the user says otherwise.
        Suspended = "suspended",
        /// Gone from every list but that of reserved key paths; what it had done stays in the journal.
        Removed = "removed",
    }
}

/// What an install writes. The fields are those of [`Solution`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewSolution {
    /// Short handle, unique among those not removed.
    pub name: String,
    /// Title from the manifest.
    pub title: String,
    /// Name of its layer-1 network, which must exist.
    pub network: String,
    /// Index of the owner's account, `m/44'/60'/0'/0/index`.
    pub owner_index: u32,
    /// Gateway contract, lower-case `0x` hex.
    pub gateway: Option<String>,
    /// Layer-2 node URLs.
    pub network_urls: Vec<String>,
    /// Root of its keys in the one spelling, `m/43'/60'/1775'/…`; unique among those not removed.
    pub key_path: String,
    /// Package name.
    pub package_name: String,
    /// Exact package version.
    pub package_version: String,
    /// SHA-512 of what was approved, hex.
    pub package_sha512: String,
    /// Directory that holds the approved copy.
    pub package_dir: String,
    /// First layer-1 block whose gateway events concern it.
    pub from_block: u64,
    /// Digest of the declared interface, pinned.
    pub interface_digest: String,
    /// The declared interface.
    pub interface: Value,
    /// The manifest.
    pub manifest: Value,
}

/// One installed solution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Solution {
    /// Local id.
    pub id: SolutionId,
    /// What was installed.
    #[serde(flatten)]
    pub spec: NewSolution,
    /// Whether it runs.
    pub status: SolutionStatus,
    /// When it was installed, unix milliseconds.
    pub created_at: u64,
}

/// `solution.name` reads better than `solution.spec.name`.
impl std::ops::Deref for Solution {
    type Target = NewSolution;

    fn deref(&self) -> &NewSolution {
        &self.spec
    }
}

/// What an update changes of a solution. Everything else stays: its id, name, network, owner, gateway, URLs, key path
/// and first block, its database, its accounts and its history.
#[derive(Clone, Debug, PartialEq)]
pub struct SolutionUpdate {
    /// SHA-512 of the package that it takes the place of: with another one nothing is written.
    pub from_sha512: String,
    /// Title from the new manifest.
    pub title: String,
    /// Its version.
    pub package_version: String,
    /// SHA-512 of what was approved, hex.
    pub package_sha512: String,
    /// Directory that holds the approved copy.
    pub package_dir: String,
    /// Digest of the interface that it declares.
    pub interface_digest: String,
    /// That interface.
    pub interface: Value,
    /// The new manifest.
    pub manifest: Value,
    /// Permissions that it gets by the update.
    pub granted: Vec<String>,
    /// Permissions that it loses.
    pub revoked: Vec<String>,
    /// Why policies are paused, in words.
    pub reason: String,
    /// A note of the host's in the table of settings. One that stands there already is kept: it is older.
    pub note: (String, Value),
}

/// What an update does to consent that was given before.
pub struct Consent<'a> {
    /// Whether a policy with this rule is paused.
    pub pauses: &'a dyn Fn(&Value) -> bool,
    /// What is left of a caller's grant with these caveats, where it is not the same: `Some(None)` for nothing.
    pub narrows: &'a dyn Fn(&Value) -> Option<Option<Value>>,
}

impl std::fmt::Debug for Consent<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consent").finish_non_exhaustive()
    }
}

/// A lasting permission of a solution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Whose.
    pub solution: SolutionId,
    /// The permission as canonical JSON text (the host's form).
    pub permission: String,
    /// Unix milliseconds.
    pub granted_at: u64,
    /// Unix milliseconds; `None` while it holds.
    pub revoked_at: Option<u64>,
}

fn read(r: &Row<'_>) -> rusqlite::Result<Solution> {
    Ok(Solution {
        id: r.get("id")?,
        spec: NewSolution {
            name: r.get("name")?,
            title: r.get("title")?,
            network: r.get("network")?,
            owner_index: r.get("owner_index")?,
            gateway: r.get("gateway")?,
            network_urls: row::json(r, "network_urls")?,
            key_path: r.get("key_path")?,
            package_name: r.get("package_name")?,
            package_version: r.get("package_version")?,
            package_sha512: r.get("package_sha512")?,
            package_dir: r.get("package_dir")?,
            from_block: r.get("from_block")?,
            interface_digest: r.get("interface_digest")?,
            interface: row::json(r, "interface")?,
            manifest: row::json(r, "manifest")?,
        },
        status: r.get("status")?,
        created_at: r.get("created_at")?,
    })
}

fn read_grant(r: &Row<'_>) -> rusqlite::Result<Grant> {
    Ok(Grant {
        solution: r.get("solution")?,
        permission: r.get("permission")?,
        granted_at: r.get("granted_at")?,
        revoked_at: r.get("revoked_at")?,
    })
}

fn put_grant(
    tx: &Transaction<'_>,
    solution: SolutionId,
    permission: &str,
    granted: bool,
    now: u64,
) -> Result<(), StoreError> {
    if granted {
        tx.prepare_cached(
            "INSERT INTO grants (solution, permission, granted_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (solution, permission) DO UPDATE
             SET granted_at = ?3, revoked_at = NULL WHERE revoked_at IS NOT NULL",
        )?
        .execute((solution, permission, now))?;
        return Ok(());
    }
    let changed = tx.execute(
        "UPDATE grants SET revoked_at = coalesce(revoked_at, ?3) WHERE solution = ?1 AND permission = ?2",
        (solution, permission, now),
    )?;
    if changed == 0 {
        return Err(StoreError::NotFound { what: "grant", id: permission.to_owned() });
    }
    Ok(())
}

/// The plain sentence for a broken uniqueness rule, by looking rather than by reading SQLite's message.
fn refuse_taken(tx: &Transaction<'_>, new: &NewSolution) -> Result<(), StoreError> {
    let taken = |sql: &str, value: &str| tx.prepare_cached(sql)?.exists([value]);
    if taken("SELECT 1 FROM solutions WHERE name = ?1 AND status <> 'removed'", &new.name)? {
        return Err(StoreError::NameTaken { name: new.name.clone() });
    }
    if taken("SELECT 1 FROM solutions WHERE key_path = ?1 AND status <> 'removed'", &new.key_path)? {
        return Err(StoreError::KeyPathTaken { key_path: new.key_path.clone() });
    }
    if !taken("SELECT 1 FROM networks WHERE name = ?1", &new.network)? {
        return Err(StoreError::NotFound { what: "network", id: new.network.clone() });
    }
    Ok(())
}

/// Refuses a solution that was never installed, in words rather than as a broken reference.
pub(crate) fn require(connection: &Connection, id: SolutionId) -> Result<(), StoreError> {
    if connection.prepare_cached("SELECT 1 FROM solutions WHERE id = ?1")?.exists([id])? {
        return Ok(());
    }
    Err(StoreError::NotFound { what: "solution", id: id.to_string() })
}

impl Store {
    /// Installs a solution: its row, its grants and, with `approval`, that approval's end (state `done`, the given
    /// outcome, the new solution's id), all in one transaction.
    ///
    /// # Errors
    /// [`NameTaken`](StoreError::NameTaken), [`KeyPathTaken`](StoreError::KeyPathTaken),
    /// [`NotFound`](StoreError::NotFound) for the network or the approval,
    /// [`NotApproved`](StoreError::NotApproved) when the approval is in any other state. Nothing is installed then.
    pub fn install(
        &self,
        new: &NewSolution,
        grants: &[String],
        approval: Option<(u64, &Value)>,
        now: u64,
    ) -> Result<Solution, StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        refuse_taken(&tx, new)?;
        tx.execute(
            "INSERT INTO solutions (name, title, network, owner_index, gateway, network_urls, key_path, package_name,
                package_version, package_sha512, package_dir, from_block, interface_digest, interface, manifest, status, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
            rusqlite::params![
                new.name,
                new.title,
                new.network,
                new.owner_index,
                new.gateway,
                row::to_json(&new.network_urls)?,
                new.key_path,
                new.package_name,
                new.package_version,
                new.package_sha512,
                new.package_dir,
                new.from_block,
                new.interface_digest,
                row::to_json(&new.interface)?,
                row::to_json(&new.manifest)?,
                SolutionStatus::Active,
                now
            ],
        )?;
        let id = tx.last_insert_rowid();
        for permission in grants {
            put_grant(&tx, id, permission, true, now)?;
        }
        if let Some((approval, outcome)) = approval {
            approvals::finish(&tx, approval, ApprovalState::Done, outcome, Some(id))?;
        }
        write_point!("store.solution.install", tx.commit())?;
        Ok(Solution { id, spec: new.clone(), status: SolutionStatus::Active, created_at: now })
    }

    /// Puts another package in the place of a solution's, with everything that follows from it: permissions, paused
    /// policies, narrowed grants of callers and the end of `approval`, all in one transaction. Gives the solution as it
    /// is now, and how many policies were paused.
    ///
    /// # Errors
    /// [`SolutionChanged`](StoreError::SolutionChanged) when its package is not the one that the update starts from, or
    /// it was removed; [`NotApproved`](StoreError::NotApproved) when the approval is in any other state. Nothing is
    /// changed then.
    pub fn update_solution(
        &self,
        id: SolutionId,
        update: &SolutionUpdate,
        consent: &Consent<'_>,
        (approval, outcome): (u64, &Value),
        now: u64,
    ) -> Result<(Solution, usize), StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        let changed = tx.execute(
            "UPDATE solutions SET title = ?3, package_version = ?4, package_sha512 = ?5, package_dir = ?6,
                interface_digest = ?7, interface = ?8, manifest = ?9
             WHERE id = ?1 AND package_sha512 = ?2 AND status <> 'removed'",
            rusqlite::params![
                id,
                update.from_sha512,
                update.title,
                update.package_version,
                update.package_sha512,
                update.package_dir,
                update.interface_digest,
                row::to_json(&update.interface)?,
                row::to_json(&update.manifest)?,
            ],
        )?;
        if changed == 0 {
            return Err(StoreError::SolutionChanged { id });
        }
        for permission in &update.revoked {
            put_grant(&tx, id, permission, false, now)?;
        }
        for permission in &update.granted {
            put_grant(&tx, id, permission, true, now)?;
        }
        let paused = policies::pause(&tx, id, consent.pauses, &update.reason, now)?;
        callers::narrow(&tx, id, consent.narrows, now)?;
        let (key, note) = &update.note;
        tx.execute(
            "INSERT INTO meta (key, value) VALUES (?1, ?2)
             ON CONFLICT (key) DO UPDATE SET value = ?2 WHERE value = 'null'",
            (key, row::to_json(note)?),
        )?;
        approvals::finish(&tx, approval, ApprovalState::Done, outcome, Some(id))?;
        let solution = tx.prepare_cached("SELECT * FROM solutions WHERE id = ?1")?.query_row([id], read)?;
        write_point!("store.solution.update", tx.commit())?;
        Ok((solution, paused))
    }

    /// All solutions that are not removed, oldest first.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn solutions(&self) -> Result<Vec<Solution>, StoreError> {
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT * FROM solutions WHERE status <> 'removed' ORDER BY id")?;
        Ok(statement.query_map([], read)?.collect::<Result<_, _>>()?)
    }

    /// One solution by id, removed or not.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn solution(&self, id: SolutionId) -> Result<Option<Solution>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT * FROM solutions WHERE id = ?1")?;
        Ok(statement.query_row([id], read).optional()?)
    }

    /// The solution that has this name now.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn solution_by_name(&self, name: &str) -> Result<Option<Solution>, StoreError> {
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT * FROM solutions WHERE name = ?1 AND status <> 'removed'")?;
        Ok(statement.query_row([name], read).optional()?)
    }

    /// Suspends, resumes or removes a solution.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound), also for one that was removed: removal is final.
    pub fn set_solution_status(&self, id: SolutionId, status: SolutionStatus) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        let changed =
            tx.execute("UPDATE solutions SET status = ?2 WHERE id = ?1 AND status <> 'removed'", (id, status))?;
        if changed == 0 {
            return Err(StoreError::NotFound { what: "solution", id: id.to_string() });
        }
        write_point!("store.solution.status", tx.commit())?;
        Ok(())
    }

    /// Every key path that a solution has or had, with its solution: removed ones stay reserved against other scripts.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn reserved_key_paths(&self) -> Result<Vec<(SolutionId, String)>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached("SELECT id, key_path FROM solutions ORDER BY id")?;
        Ok(statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<Result<_, _>>()?)
    }

    /// Every grant a solution has or had.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn grants(&self, solution: SolutionId) -> Result<Vec<Grant>, StoreError> {
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT * FROM grants WHERE solution = ?1 ORDER BY granted_at, permission")?;
        Ok(statement.query_map([solution], read_grant)?.collect::<Result<_, _>>()?)
    }

    /// The permissions that hold now.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn active_grants(&self, solution: SolutionId) -> Result<Vec<String>, StoreError> {
        let grants = self.grants(solution)?;
        Ok(grants.into_iter().filter(|grant| grant.revoked_at.is_none()).map(|grant| grant.permission).collect())
    }

    /// Grants one more permission, or the same again after it was revoked.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn add_grant(&self, solution: SolutionId, permission: &str, now: u64) -> Result<(), StoreError> {
        self.set_grant(solution, permission, true, now)
    }

    /// Revokes a permission. Revoking twice keeps the first time.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound) when it was never granted.
    pub fn revoke_grant(&self, solution: SolutionId, permission: &str, now: u64) -> Result<(), StoreError> {
        self.set_grant(solution, permission, false, now)
    }

    fn set_grant(&self, solution: SolutionId, permission: &str, granted: bool, now: u64) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        put_grant(&tx, solution, permission, granted, now)?;
        write_point!("store.grant.set", tx.commit())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
