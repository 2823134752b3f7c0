//! Local apps: scripts and tools that reach the wallet by an address with a secret in it. Each is a caller of its own,
//! with grants, approvals and policies under the name that the user gave it.

use crate::callers::Caller;
use crate::error::HostError;
use crate::messages::AppView;
use crate::networks::check_name;
use crate::text::quoted;
use crate::{Actor, Host, Operation, now};
use entresol_store::{App, Callers, JournalIntent};
use serde_json::json;
use sha2::{Digest, Sha256};

/// Random bytes of a secret; in hexadecimal on the wire.
const SECRET_BYTES: usize = 32;

/// A caller that has shown an app's secret.
#[derive(Clone, Debug)]
pub struct Entered {
    /// Who it is.
    pub caller: Caller,
    name: String,
    digest: Vec<u8>,
}

impl Host {
    /// Adds an app and gives its secret, which is kept nowhere and shown once.
    ///
    /// # Errors
    /// Not authorised; a name that is taken or no name; no random numbers.
    pub async fn app_add(&self, actor: &Actor, name: &str) -> Result<String, HostError> {
        self.authorize(actor, &Operation::Decide, "app_add")?;
        check_name("app name", name)?;
        let mut bytes = [0; SECRET_BYTES];
        getrandom::fill(&mut bytes)
            .map_err(|e| HostError::internal(format!("the operating system gives no random numbers: {e}")))?;
        let secret = hex::encode(bytes);
        let app = App { name: name.to_owned(), secret_digest: digest(&secret), added_at: now() };
        let intent = JournalIntent {
            solution: None,
            actor: actor.to_string(),
            action: "add app".into(),
            resource: name.to_owned(),
            detail: json!({}),
        };
        self.journaled(intent, async { Ok(self.store().put_app(&app)?) }).await?;
        self.changed();
        Ok(secret)
    }

    /// The local apps.
    ///
    /// # Errors
    /// Not authorised.
    pub async fn apps(&self, actor: &Actor) -> Result<Vec<AppView>, HostError> {
        self.authorize(actor, &Operation::Read, "apps")?;
        let apps = self.store().apps()?.into_iter();
        Ok(apps.map(|app| AppView { name: app.name, added_at: app.added_at }).collect())
    }

    /// Removes an app: its requests end at once, and so does all that it was granted.
    ///
    /// # Errors
    /// Not authorised; not found.
    pub async fn app_remove(&self, actor: &Actor, name: &str) -> Result<(), HostError> {
        self.authorize(actor, &Operation::Decide, "app_remove")?;
        if self.store().app(name)?.is_none() {
            let name = quoted(name);
            return Err(HostError::not_found(format!("there is no local app {name}; see `entresol app list`")));
        }
        let intent = JournalIntent {
            solution: None,
            actor: actor.to_string(),
            action: "remove app".into(),
            resource: name.to_owned(),
            detail: json!({}),
        };
        let caller = Caller::App { name: name.to_owned() }.key();
        self.journaled(intent, async { Ok(self.store().remove_app(name, Callers::One(&caller), now())?) }).await?;
        self.peer_removed("its app was removed", |who| who == caller)
    }

    /// The app whose name and secret these are. An unknown name and a wrong secret cannot be told from one another, nor
    /// by the time that the answer takes: digests are compared, all of them, whatever their first bytes.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn app_enter(&self, name: &str, secret: &str) -> Result<Option<Entered>, HostError> {
        let digest = digest(secret);
        let known = self.store().app(name)?.map(|app| app.secret_digest).unwrap_or_default();
        if !same(&known, &digest) {
            return Ok(None);
        }
        Ok(Some(Entered { caller: Caller::App { name: name.to_owned() }, name: name.to_owned(), digest }))
    }

    /// Ends when the app is the wallet's no more, or has another secret. Cancel safe.
    pub async fn app_removed(&self, entered: &Entered) {
        let there = || matches!(self.store().app(&entered.name), Ok(Some(app)) if app.secret_digest == entered.digest);
        self.removed(there).await;
    }
}

fn digest(secret: &str) -> Vec<u8> {
    Sha256::new().chain_update(b"entresol app 1\0").chain_update(secret.as_bytes()).finalize().to_vec()
}

/// In a time that does not depend on where they differ.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_equal_or_not() {
        assert!(same(&digest("a"), &digest("a")));
        assert!(!same(&digest("a"), &digest("b")));
        assert!(!same(&[], &digest("")));
        assert!(!same(&digest("a")[..31], &digest("a")));
    }
}
