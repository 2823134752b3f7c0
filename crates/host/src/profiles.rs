//! Browser profiles: the extension of each has a key of its own, which the user takes over into the wallet by a short
//! code ("pairing"). The listener checks the key's answer to a challenge; here it is decided whose key it is.
//!
//! The code is shown by the extension and typed in the wallet, so that the user says *which* of the programs that ask
//! is the browser before them. It proves nothing by itself: only a session that may decide can use one.

use crate::approvals::pending;
use crate::callers::Caller;
use crate::error::{HostError, code};
use crate::messages::{PairingView, ProfileView};
use crate::networks::check_name;
use crate::text::quoted;
use crate::{Actor, Host, Operation, locked, now};
use entresol_store::{CallerGrantFilter, Callers, JournalIntent, Profile};
use serde_json::{Value as Json, json};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a code can be confirmed: long enough to find the terminal, short enough that nobody finds an old one.
pub const CODE_LIFETIME: Duration = Duration::from_secs(300);
/// Codes that wait at one time. A person pairs one browser at a time; any local process may ask for a code.
pub const MAX_CODES: usize = 4;
/// Letters and digits that are not taken for one another: 31 of them, eight give 39 bits.
const ALPHABET: &[u8; 31] = b"ABCDEFGHJKLMNPQRSTUVWXYZ2345679";
/// Characters of a code, in two groups.
const CODE_LENGTH: usize = 8;
/// Longest name that an extension may propose for its profile.
const MAX_PROPOSED: usize = 64;
/// Names that are tried for a profile whose own is taken.
const MAX_SAME_NAMES: usize = 100;

/// Bytes of an uncompressed point of P-256 (SEC 1, 2.3.3).
pub const KEY_LENGTH: usize = 65;

/// A code that waits for the user.
pub(crate) struct Waiting {
    code: String,
    key: Vec<u8>,
    proposed: String,
    expires_at: u64,
    confirmed: oneshot::Sender<String>,
}

/// One pairing, held by the connection that asked for it. Dropped, its code is of no more use.
#[derive(Debug)]
pub struct Pairing {
    /// `K7QD-M2XP`.
    pub code: String,
    host: Host,
    until: tokio::time::Instant,
    confirmed: oneshot::Receiver<String>,
}

impl Pairing {
    /// The profile's name, when the user has confirmed the code; `None` when its time is over. Cancel safe.
    pub async fn confirmed(&mut self) -> Option<String> {
        tokio::time::timeout_at(self.until, &mut self.confirmed).await.ok()?.ok()
    }
}

impl Drop for Pairing {
    fn drop(&mut self) {
        locked(&self.host.inner.codes).retain(|waiting| waiting.code != self.code);
    }
}

impl Host {
    /// The profile to which this key was paired.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn profile_of(&self, key: &[u8]) -> Result<Option<String>, HostError> {
        Ok(self.store().profile_of(key)?.map(|profile| profile.name))
    }

    /// Ends when this profile, or its key, is the wallet's no more. Cancel safe.
    pub async fn profile_removed(&self, name: &str, key: &[u8]) {
        let there = || matches!(self.profile_of(key), Ok(Some(found)) if found == name);
        self.removed(there).await;
    }

    /// Ends when `there` holds no more, looked at after each removal of a peer.
    pub(crate) async fn removed(&self, there: impl Fn() -> bool) {
        let mut removals = self.inner.removals.subscribe();
        while there() {
            if removals.changed().await.is_err() {
                return;
            }
        }
    }

    /// Makes a code for a key that has proved itself, with a name for its profile. Nothing is granted by it.
    ///
    /// # Errors
    /// Too many codes wait; a key that is no key; no random numbers.
    pub fn pairing(&self, key: &[u8], proposed: &str) -> Result<Pairing, HostError> {
        if key.len() != KEY_LENGTH {
            return Err(HostError::invalid(format!("a public key has {KEY_LENGTH} bytes")));
        }
        let (sender, confirmed) = oneshot::channel();
        let code = new_code()?;
        let mut codes = locked(&self.inner.codes);
        codes.retain(|waiting| now() < waiting.expires_at);
        if codes.len() >= MAX_CODES {
            return Err(HostError::new(
                code::LIMIT,
                format!("{MAX_CODES} pairing codes wait already; use one, or wait until they are over"),
            ));
        }
        let lifetime = u64::try_from(CODE_LIFETIME.as_millis()).unwrap_or(u64::MAX);
        codes.push(Waiting {
            code: code.clone(),
            key: key.to_vec(),
            proposed: proposed.chars().take(MAX_PROPOSED).collect(),
            expires_at: now().saturating_add(lifetime),
            confirmed: sender,
        });
        drop(codes);
        self.changed();
        Ok(Pairing { code, host: self.clone(), until: tokio::time::Instant::now() + CODE_LIFETIME, confirmed })
    }

    /// Pairings that wait for their code. The codes are not told: whoever confirms one has read it in the browser.
    ///
    /// # Errors
    /// Not authorised.
    pub async fn pairings(&self, actor: &Actor) -> Result<Vec<PairingView>, HostError> {
        self.authorize(actor, &Operation::Read, "pairings")?;
        let codes = locked(&self.inner.codes);
        let waiting = codes.iter().filter(|waiting| now() < waiting.expires_at);
        Ok(waiting
            .map(|waiting| PairingView { proposed: quoted(&waiting.proposed), expires_at: waiting.expires_at })
            .collect())
    }

    /// The user confirms a code: the browser profile that shows it is paired from now on.
    ///
    /// # Errors
    /// Not authorised; no such code; the name is taken.
    pub async fn pair(&self, actor: &Actor, code: &str, name: Option<&str>) -> Result<ProfileView, HostError> {
        self.authorize(actor, &Operation::Decide, "pair")?;
        let typed = normal(code);
        if let Some(name) = name {
            check_name("profile name", name)?;
        }
        // Taken out of the list while it is used, so that one code is one profile.
        let waiting = {
            let mut codes = locked(&self.inner.codes);
            codes.retain(|waiting| now() < waiting.expires_at);
            let at = codes.iter().position(|waiting| normal(&waiting.code) == typed && !waiting.confirmed.is_closed());
            at.map(|at| codes.remove(at))
        };
        let Some(waiting) = waiting else {
            return Err(HostError::not_found(format!(
                "no browser shows the code {}; open the extension's window and type the code that it shows now",
                quoted(code)
            )));
        };
        let name = match name {
            Some(name) => Ok(name.to_owned()),
            None => self.profile_name(&waiting.proposed),
        };
        let written = match name {
            Ok(name) => self.write_profile(actor, name, &waiting.key).await,
            Err(error) => Err(error),
        };
        match written {
            Ok(profile) => {
                // A browser that has gone meanwhile finds itself paired when it comes back.
                let _ = waiting.confirmed.send(profile.name.clone());
                self.changed();
                Ok(profile)
            }
            Err(error) => {
                // Such as a name that is taken: the code is still good for another try.
                locked(&self.inner.codes).push(waiting);
                Err(error)
            }
        }
    }

    async fn write_profile(&self, actor: &Actor, name: String, key: &[u8]) -> Result<ProfileView, HostError> {
        let profile = Profile { name: name.clone(), public_key: key.to_vec(), paired_at: now() };
        let intent = JournalIntent {
            solution: None,
            actor: actor.to_string(),
            action: "pair".into(),
            resource: name,
            detail: json!({ "key": fingerprint(key) }),
        };
        self.journaled(intent, async { Ok(self.store().put_profile(&profile)?) }).await?;
        Ok(view(profile))
    }

    /// The paired browser profiles.
    ///
    /// # Errors
    /// Not authorised.
    pub async fn profiles(&self, actor: &Actor) -> Result<Vec<ProfileView>, HostError> {
        self.authorize(actor, &Operation::Read, "profiles")?;
        Ok(self.store().profiles()?.into_iter().map(view).collect())
    }

    /// Removes a browser profile: its connection ends at once, and so does all that its sites were granted.
    ///
    /// # Errors
    /// Not authorised; not found.
    pub async fn profile_remove(&self, actor: &Actor, name: &str) -> Result<(), HostError> {
        self.authorize(actor, &Operation::Decide, "profile_remove")?;
        if !self.store().profiles()?.iter().any(|profile| profile.name == name) {
            return Err(HostError::not_found(format!(
                "there is no browser profile {}; see `entresol bridge list`",
                quoted(name)
            )));
        }
        let intent = JournalIntent {
            solution: None,
            actor: actor.to_string(),
            action: "remove profile".into(),
            resource: name.to_owned(),
            detail: json!({}),
        };
        let prefix = format!("site:{name}:");
        self.journaled(intent, async { Ok(self.store().remove_profile(name, Callers::Prefix(&prefix), now())?) })
            .await?;
        self.peer_removed("its browser profile was removed", |caller| caller.starts_with(&prefix))
    }

    /// What the popup of a paired browser shows: what its page was granted, and which requests of the sites of this profile
    /// wait for the user. It takes no request and no decision.
    ///
    /// # Errors
    /// The database.
    pub fn popup_view(&self, profile: &str, page: Option<&Caller>) -> Result<Json, HostError> {
        let mut view = json!({
            "profile": profile, "locked": self.vault().is_locked(), "accounts": [], "grants": [], "approvals": [] });
        if let Some(page) = page {
            view["accounts"] = json!(self.caller_view_for_popup(page)?.accounts);
            let filter = CallerGrantFilter { caller: Some(page.key()), solution: None, active_at: Some(now()) };
            for grant in self.store().caller_grants(&filter)? {
                let name = self.solution_name(grant.solution)?;
                let (actions, state) = (&grant.caveats["actions"], &grant.caveats["state"]);
                if let Some(grants) = view["grants"].as_array_mut() {
                    grants.push(json!({ "solution": name, "actions": actions, "state": state }));
                }
            }
        }
        let prefix = format!("site:{profile}:");
        for approval in self.store().approvals(pending())? {
            let who = approval.request.requester["who"].as_str().unwrap_or_default();
            if approval.request.expires_at <= now() || !who.starts_with(&prefix) {
                continue;
            }
            let sentence = self.approval_view(&approval)?.sentence;
            if let Some(approvals) = view["approvals"].as_array_mut() {
                approvals.push(json!({ "id": approval.id, "sentence": sentence, "caller": who }));
            }
        }
        Ok(view)
    }

    /// After the write: connections end, and what waits for the user leaves the queue.
    pub(crate) fn peer_removed(&self, why: &str, theirs: impl Fn(&str) -> bool) -> Result<(), HostError> {
        self.inner.removals.send_modify(|count| *count += 1);
        self.expire_requests(why, |request| request.requester["who"].as_str().is_some_and(&theirs))?;
        self.access_changed();
        Ok(())
    }

    /// A name made of the one that the extension proposed: `chromium`, `chromium-2`, ….
    fn profile_name(&self, proposed: &str) -> Result<String, HostError> {
        let base = plain_name(proposed);
        let taken = self.store().profiles()?;
        let names = (1..=MAX_SAME_NAMES).map(|n| if n == 1 { base.clone() } else { format!("{base}-{n}") });
        let free = names.into_iter().find(|name| !taken.iter().any(|profile| profile.name == *name));
        free.ok_or_else(|| HostError::invalid(format!("many profiles are called {base}; choose a name by --name")))
    }
}

fn view(profile: Profile) -> ProfileView {
    ProfileView { name: profile.name, key: fingerprint(&profile.public_key), paired_at: profile.paired_at }
}

/// Enough of a key to tell it from others.
fn fingerprint(key: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(key);
    hex::encode(digest.get(..8).unwrap_or_default())
}

/// A code as people may type it: any case, with or without its hyphen.
fn normal(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

fn new_code() -> Result<String, HostError> {
    let mut code = String::new();
    while code.len() < CODE_LENGTH {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)
            .map_err(|e| HostError::internal(format!("the operating system gives no random numbers: {e}")))?;
        // What is above the largest multiple would make some letters likelier than others.
        let fair = bytes.iter().filter(|byte| usize::from(**byte) < 256 / ALPHABET.len() * ALPHABET.len());
        let letters = fair.filter_map(|byte| ALPHABET.get(usize::from(*byte) % ALPHABET.len()));
        code.extend(letters.take(CODE_LENGTH - code.len()).map(|letter| char::from(*letter)));
    }
    code.insert(CODE_LENGTH / 2, '-');
    Ok(code)
}

/// Lower-case letters, digits and hyphens out of any text, with room for a number behind it.
fn plain_name(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars().map(|c| c.to_ascii_lowercase()) {
        match c {
            'a'..='z' | '0'..='9' => name.push(c),
            _ if !name.is_empty() && !name.ends_with('-') => name.push('-'),
            _ => {}
        }
    }
    let name: String = name.trim_start_matches(|c: char| !c.is_ascii_lowercase()).chars().take(24).collect();
    let name = name.trim_end_matches('-');
    if name.is_empty() { "browser".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests;
