//! The user's own keys: owner accounts, imported keys, the passphrase, and the two locks.

use crate::error::{self, HostError};
use crate::messages::{AccountView, Settings};
use crate::{Actor, Host, Operation, blocking, locked, now};
use entresol_store::{JournalIntent, SolutionStatus};
use entresol_vault::{Account, SubtreePath, Vault};
use secrecy::SecretString;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Most owner accounts that can be listed; a longer list is a mistake.
const MAX_OWNERS: u32 = 100;
/// Longest pause between two looks at whether the seed should lock.
const LOOK: Duration = Duration::from_secs(5);
/// Key of the settings in the database.
const SETTINGS: &str = "settings";

impl Host {
    /// The owner accounts with their balances: derived ones, then imported ones.
    ///
    /// # Errors
    /// Not authorised; the vault is locked and an account was never looked up.
    pub async fn accounts(&self, actor: &Actor) -> Result<Vec<AccountView>, HostError> {
        self.authorize(actor, &Operation::Read, "accounts")?;
        let imported = self.vault().imported().into_iter().map(|account| account.index);
        let mut views = Vec::new();
        for index in (0..self.owner_count()?).chain(imported) {
            views.push(self.account_view(index).await?);
        }
        Ok(views)
    }

    /// Adds the next owner account `m/44'/60'/0'/0/i`.
    ///
    /// # Errors
    /// Not authorised; too many.
    pub async fn account_add(&self, actor: &Actor) -> Result<AccountView, HostError> {
        self.authorize(actor, &Operation::Propose, "account_add")?;
        let count = self.owner_count()?;
        if count >= MAX_OWNERS {
            return Err(HostError::new(error::code::LIMIT, format!("there are {MAX_OWNERS} owner accounts already")));
        }
        self.store().put_meta("owner_count", &json!(count + 1))?;
        self.changed();
        self.account_view(count).await
    }

    /// Takes a single private key into the vault, sealed like the seed; it is not restored from the words.
    ///
    /// # Errors
    /// Not authorised; wrong passphrase, or too many; no valid key; an account that is there already.
    pub async fn account_import(
        &self,
        actor: &Actor,
        private_key: &SecretString,
        passphrase: &SecretString,
    ) -> Result<AccountView, HostError> {
        self.authorize(actor, &Operation::Keep, "account_import")?;
        let (vault, key, passphrase) = (self.vault().clone(), private_key.clone(), passphrase.clone());
        let work = blocking(move || vault.import_key(&key, &passphrase));
        let account = self.with_passphrase(self.journaled(own("import key", ""), work)).await?;
        self.changed();
        self.account_view(account.index).await
    }

    /// The private key of an owner account, 0x-hex. The passphrase is asked every time, session or not.
    ///
    /// # Errors
    /// Not authorised; wrong passphrase; no such account.
    pub async fn account_export(
        &self,
        actor: &Actor,
        index: u32,
        passphrase: &SecretString,
    ) -> Result<SecretString, HostError> {
        self.authorize(actor, &Operation::Keep, "account_export")?;
        self.known_owner(index)?;
        let (vault, passphrase) = (self.vault().clone(), passphrase.clone());
        let work = blocking(move || vault.export_owner_key(index, &passphrase));
        self.with_passphrase(self.journaled(own("export key", &index.to_string()), work)).await
    }

    /// Another passphrase for the same keys. Backups and copies made before still open with the old one.
    ///
    /// # Errors
    /// Not authorised; wrong passphrase; an empty new one. The old one stays right then.
    pub async fn passphrase_change(
        &self,
        actor: &Actor,
        old: &SecretString,
        new: &SecretString,
    ) -> Result<(), HostError> {
        self.authorize(actor, &Operation::Keep, "passphrase_change")?;
        let (vault, old, new) = (self.vault().clone(), old.clone(), new.clone());
        let cost = self.inner.config.kdf_cost;
        let work = blocking(move || vault.change_passphrase(&old, &new, cost));
        self.with_passphrase(self.journaled(own("change passphrase", ""), work)).await
    }

    async fn account_view(&self, index: u32) -> Result<AccountView, HostError> {
        let account = self.owner(index)?;
        let mut balances = BTreeMap::new();
        for (name, runtime) in self.inner.networks.ready() {
            if let Ok(balance) = runtime.network.balance(account.address).await {
                balances.insert(name, balance.to_string());
            }
        }
        let imported = index >= Vault::IMPORTED;
        Ok(AccountView { index, address: account.address.to_checksum(None), path: account.path, imported, balances })
    }

    /// An owner account's public side, also while the seed is locked.
    pub(crate) fn owner(&self, index: u32) -> Result<Account, HostError> {
        if let Some(known) = locked(&self.inner.owners).get(&index) {
            return Ok(known.clone());
        }
        let imported = self.vault().imported().into_iter().find(|account| account.index == index);
        let account = imported.map_or_else(|| self.vault().owner(index), Ok)?;
        locked(&self.inner.owners).insert(index, account.clone());
        Ok(account)
    }

    /// Refuses an owner account that the user has not made or imported.
    pub(crate) fn known_owner(&self, index: u32) -> Result<(), HostError> {
        let imported = self.vault().imported().iter().any(|account| account.index == index);
        if index < self.owner_count()? || imported {
            return Ok(());
        }
        Err(HostError::invalid(format!("there is no owner account {index}; add one with `entresol account add`")))
    }

    pub(crate) fn owner_count(&self) -> Result<u32, HostError> {
        let count = self.store().meta("owner_count")?.and_then(|value| value.as_u64());
        Ok(count.and_then(|n| u32::try_from(n).ok()).unwrap_or(1).max(1))
    }

    /// True when this is the wallet's passphrase; slow on purpose.
    ///
    /// # Errors
    /// Not authorised or wrong passphrase (code 4100); too many wrong ones.
    pub async fn verify_passphrase(&self, actor: &Actor, passphrase: &SecretString) -> Result<(), HostError> {
        self.authorize(actor, &Operation::Propose, "verify_passphrase")?;
        let (vault, passphrase) = (self.vault().clone(), passphrase.clone());
        self.with_passphrase(blocking(move || vault.verify_passphrase(&passphrase))).await
    }

    /// Locks the seed: callers get 4100, no owner signs. Layer-2 accounts go on signing for their plugins if the
    /// settings say so, that they can watch and defend.
    ///
    /// # Errors
    /// Not authorised.
    pub async fn lock(&self, actor: &Actor) -> Result<(), HostError> {
        self.authorize(actor, &Operation::Propose, "lock")?;
        self.inner.locks.fetch_add(1, Ordering::SeqCst);
        self.lock_now()
    }

    /// How often the user has locked the wallet, on a terminal or on the page, since the daemon began: each time ends
    /// every passphrase session.
    #[must_use]
    pub fn locks(&self) -> u64 {
        self.inner.locks.load(Ordering::SeqCst)
    }

    fn lock_now(&self) -> Result<(), HostError> {
        if self.vault().is_locked() {
            return Ok(());
        }
        // Whatever fails below: a lock that the user asked for always locks.
        let kept = self.kept_open();
        match &kept {
            Ok(paths) if !paths.is_empty() => self.vault().lock_seed(paths)?,
            _ => self.vault().lock(),
        }
        self.changed();
        kept.map(|_| ())
    }

    /// Roots of the active solutions, if they stay open while the seed is locked.
    fn kept_open(&self) -> Result<Vec<SubtreePath>, HostError> {
        if !self.current_settings()?.layer2_while_locked {
            return Ok(Vec::new());
        }
        let solutions = self.store().solutions()?;
        let active = solutions.iter().filter(|solution| solution.status == SolutionStatus::Active);
        active.map(|solution| self.key_path(solution.id)).collect()
    }

    /// Unlocks the seed and goes on with what was approved meanwhile.
    ///
    /// # Errors
    /// Not authorised; wrong passphrase; too many wrong ones.
    pub async fn unlock(&self, actor: &Actor, passphrase: &SecretString) -> Result<(), HostError> {
        self.authorize(actor, &Operation::Propose, "unlock")?;
        let (vault, passphrase) = (self.vault().clone(), passphrase.clone());
        self.with_passphrase(blocking(move || vault.unlock(&passphrase))).await?;
        self.touch();
        self.resume_approved();
        self.changed();
        Ok(())
    }

    /// The wallet's settings.
    ///
    /// # Errors
    /// Not authorised.
    pub async fn settings(&self, actor: &Actor) -> Result<Settings, HostError> {
        self.authorize(actor, &Operation::Read, "settings")?;
        self.current_settings()
    }

    /// Changes the wallet's settings.
    ///
    /// # Errors
    /// Not authorised; a value that makes no sense.
    pub async fn settings_set(&self, actor: &Actor, settings: Settings) -> Result<Settings, HostError> {
        /// A week: whoever wants longer says never.
        const LONGEST: u64 = 7 * 24 * 3600;
        self.authorize(actor, &Operation::Decide, "settings_set")?;
        if settings.auto_lock_seconds > LONGEST {
            return Err(HostError::invalid("autoLockSeconds: at most a week, or 0 for never"));
        }
        let json = serde_json::to_value(&settings).map_err(|e| HostError::internal(e.to_string()))?;
        let mut intent = own("settings", "");
        intent.detail = json.clone();
        self.journaled(intent, async { Ok(self.store().put_meta(SETTINGS, &json)?) }).await?;
        self.changed();
        Ok(settings)
    }

    pub(crate) fn current_settings(&self) -> Result<Settings, HostError> {
        match self.store().meta(SETTINGS)? {
            Some(json) => serde_json::from_value(json).map_err(|e| HostError::internal(format!("settings: {e}"))),
            None => Ok(Settings::default()),
        }
    }

    /// The user is there: the seed stays open for another while.
    pub(crate) fn touch(&self) {
        self.inner.last_use.store(now(), Ordering::Relaxed);
    }

    /// Locks the seed by itself when the user has not been there for as long as the settings say.
    pub(crate) fn start_auto_lock(&self) {
        self.touch();
        let (host, cancel) = (self.clone(), self.child_token());
        self.spawn(async move {
            let work = async {
                loop {
                    let pause = match host.current_settings() {
                        Ok(Settings { auto_lock_seconds: 0, .. }) => LOOK,
                        Ok(settings) => {
                            let due = host.inner.last_use.load(Ordering::Relaxed) + settings.auto_lock_seconds * 1000;
                            match due.saturating_sub(now()) {
                                0 => {
                                    if let Err(error) = host.lock_now() {
                                        tracing::error!(%error, "the seed is locked; layer-2 accounts are too");
                                    }
                                    LOOK
                                }
                                left => Duration::from_millis(left).min(LOOK),
                            }
                        }
                        Err(error) => {
                            tracing::error!(%error, "the settings cannot be read");
                            LOOK
                        }
                    };
                    tokio::time::sleep(pause).await;
                }
            };
            tokio::select! { () = cancel.cancelled() => {}, () = work => {} }
        });
    }
}

impl Default for Settings {
    /// Half an hour; layer-2 accounts lock with the seed.
    fn default() -> Self {
        Self { auto_lock_seconds: 1800, layer2_while_locked: false }
    }
}

fn own(action: &str, resource: &str) -> JournalIntent {
    JournalIntent {
        solution: None,
        actor: "user".into(),
        action: action.into(),
        resource: resource.into(),
        detail: Json::Null,
    }
}
