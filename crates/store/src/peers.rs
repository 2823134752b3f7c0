//! Whoever may connect from outside: browser profiles that were paired, and local apps.
//!
//! What a peer was granted ends with it, in the same write: another one that gets its name later starts with nothing.

use entresol_durable::write_point;
use rusqlite::{Connection, OptionalExtension, Row, Transaction};
use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::database::{Store, begin};
use crate::policies::PolicyState;

/// A browser profile that was paired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Short unique name.
    pub name: String,
    /// P-256, uncompressed, 65 bytes.
    pub public_key: Vec<u8>,
    /// Unix milliseconds.
    pub paired_at: u64,
}

/// A local app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Short unique name.
    pub name: String,
    /// Digest of its secret, which is kept nowhere.
    pub secret_digest: Vec<u8>,
    /// Unix milliseconds.
    pub added_at: u64,
}

/// The callers that a peer stands for, in the host's canonical text.
#[derive(Clone, Copy, Debug)]
pub enum Callers<'a> {
    /// This one.
    One(&'a str),
    /// All whose text begins so.
    Prefix(&'a str),
}

fn profile(r: &Row<'_>) -> rusqlite::Result<Profile> {
    Ok(Profile { name: r.get("name")?, public_key: r.get("public_key")?, paired_at: r.get("paired_at")? })
}

fn app(r: &Row<'_>) -> rusqlite::Result<App> {
    Ok(App { name: r.get("name")?, secret_digest: r.get("secret_digest")?, added_at: r.get("added_at")? })
}

fn exists(connection: &Connection, sql: &str, name: &str, secret: &[u8]) -> rusqlite::Result<bool> {
    connection.prepare_cached(sql)?.exists((name, secret))
}

/// Ends what these callers were granted, and forgets what they saw of layer 1. What they asked for stays as history.
fn forget(tx: &Transaction<'_>, callers: Callers<'_>, why: &str, now: u64) -> rusqlite::Result<()> {
    let (text, prefix) = match callers {
        Callers::One(text) => (text, false),
        Callers::Prefix(text) => (text, true),
    };
    const THEIRS: &str = "(caller = ?1 OR (?2 AND substr(caller, 1, length(?1)) = ?1))";
    tx.execute(
        &format!("UPDATE caller_grants SET revoked_at = ?3 WHERE revoked_at IS NULL AND {THEIRS}"),
        (text, prefix, now),
    )?;
    tx.execute(
        &format!("UPDATE policies SET state = ?3, reason = ?4, updated_at = ?5 WHERE state <> ?3 AND {THEIRS}"),
        (text, prefix, PolicyState::Revoked, why, now),
    )?;
    tx.execute(&format!("DELETE FROM connections WHERE {THEIRS}"), (text, prefix))?;
    Ok(())
}

impl Store {
    /// Adds a browser profile.
    ///
    /// # Errors
    /// [`PeerTaken`](StoreError::PeerTaken) when another one has the name or the key.
    pub fn put_profile(&self, new: &Profile) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        if exists(&tx, "SELECT 1 FROM profiles WHERE name = ?1 OR public_key = ?2", &new.name, &new.public_key)? {
            return Err(StoreError::PeerTaken { what: "browser profile", name: new.name.clone() });
        }
        tx.execute(
            "INSERT INTO profiles (name, public_key, paired_at) VALUES (?1, ?2, ?3)",
            (&new.name, &new.public_key, new.paired_at),
        )?;
        write_point!("store.peer.put", tx.commit())?;
        Ok(())
    }

    /// Every browser profile, by name.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn profiles(&self) -> Result<Vec<Profile>, StoreError> {
        let connection = self.reader();
        let mut statement = connection.prepare_cached("SELECT * FROM profiles ORDER BY name")?;
        Ok(statement.query_map([], profile)?.collect::<Result<_, _>>()?)
    }

    /// The browser profile with this key.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn profile_of(&self, public_key: &[u8]) -> Result<Option<Profile>, StoreError> {
        let connection = self.reader();
        let mut statement = connection.prepare_cached("SELECT * FROM profiles WHERE public_key = ?1")?;
        Ok(statement.query_row([public_key], profile).optional()?)
    }

    /// Removes a browser profile with all that its sites were granted.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound).
    pub fn remove_profile(&self, name: &str, callers: Callers<'_>, now: u64) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        if tx.execute("DELETE FROM profiles WHERE name = ?1", [name])? == 0 {
            return Err(StoreError::NotFound { what: "browser profile", id: name.to_owned() });
        }
        forget(&tx, callers, "its browser profile was removed", now)?;
        write_point!("store.peer.remove", tx.commit())?;
        Ok(())
    }

    /// Adds a local app.
    ///
    /// # Errors
    /// [`PeerTaken`](StoreError::PeerTaken) when another one has the name.
    pub fn put_app(&self, new: &App) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        if exists(&tx, "SELECT 1 FROM apps WHERE name = ?1 OR secret_digest = ?2", &new.name, &new.secret_digest)? {
            return Err(StoreError::PeerTaken { what: "local app", name: new.name.clone() });
        }
        tx.execute(
            "INSERT INTO apps (name, secret_digest, added_at) VALUES (?1, ?2, ?3)",
            (&new.name, &new.secret_digest, new.added_at),
        )?;
        write_point!("store.peer.put", tx.commit())?;
        Ok(())
    }

    /// Every local app, by name.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn apps(&self) -> Result<Vec<App>, StoreError> {
        let connection = self.reader();
        let mut statement = connection.prepare_cached("SELECT * FROM apps ORDER BY name")?;
        Ok(statement.query_map([], app)?.collect::<Result<_, _>>()?)
    }

    /// The local app of this name.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn app(&self, name: &str) -> Result<Option<App>, StoreError> {
        let connection = self.reader();
        let mut statement = connection.prepare_cached("SELECT * FROM apps WHERE name = ?1")?;
        Ok(statement.query_row([name], app).optional()?)
    }

    /// Removes a local app with all that it was granted.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound).
    pub fn remove_app(&self, name: &str, callers: Callers<'_>, now: u64) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        if tx.execute("DELETE FROM apps WHERE name = ?1", [name])? == 0 {
            return Err(StoreError::NotFound { what: "local app", id: name.to_owned() });
        }
        forget(&tx, callers, "its app was removed", now)?;
        write_point!("store.peer.remove", tx.commit())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
