//! Own accounts and their keys, the passphrase, the settings.

use std::path::Path;

use anyhow::{Context as _, bail};
use entresol_host::messages::{AccountView, Settings};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use zeroize::Zeroize;

use crate::cli::{self, Account, Passphrase, SetSettings, Switch};
use crate::context::{Context, account_name};
use crate::output::{Progress, note, table};
use crate::secrets;
use crate::times;
use crate::units::ether;

pub(crate) async fn account(context: &Context, command: Account) -> anyhow::Result<()> {
    let mut daemon = context.daemon().await?;
    match command {
        Account::List => {
            let accounts: Vec<AccountView> = daemon.get("accounts", json!({})).await?;
            context.out.either(&accounts, |accounts| accounts_table(accounts))
        }
        Account::Add => {
            let account: AccountView = daemon.get("account_add", json!({})).await?;
            context.out.either(&account, |account| accounts_table(std::slice::from_ref(account)))
        }
        Account::Import { key_file } => {
            let key = private_key(key_file.as_deref())?;
            let params = json!({ "privateKey": key.expose_secret() });
            let answer = daemon.with_passphrase("account_import", params).await?;
            let account: AccountView = serde_json::from_value(answer)?;
            context.out.either(&account, |account| {
                format!(
                    "{}\nThe words of your wallet do not restore this account: keep its key, or make a backup with \
                     `entresol backup FILE`.",
                    accounts_table(std::slice::from_ref(account))
                )
            })
        }
        Account::Export { account } => {
            let index = daemon.account(&account).await?;
            let mut answer = daemon.with_passphrase("account_export", json!({ "account": index })).await?;
            let key = answer["privateKey"].take();
            let mut key = key.as_str().context("the daemon's answer has no key; is it of this version?")?.to_owned();
            note(format!(
                "Whoever has this key has everything that account {} owns. Show it to nobody.",
                account_name(index)
            ));
            let printed = context.out.either(&json!({ "account": index, "privateKey": key }), |_| key.clone());
            key.zeroize();
            printed
        }
    }
}

/// A private key from a file, or from a prompt that does not show it.
fn private_key(file: Option<&Path>) -> anyhow::Result<SecretString> {
    let text = match file {
        Some(file) => secrets::from_file(file)?,
        None => secrets::prompt("Private key to import (not shown): ", "--key-file FILE")?,
    };
    let key = text.expose_secret().trim();
    let digits = key.strip_prefix("0x").unwrap_or(key);
    if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        // What was given is not repeated: it may be a mistyped key, or the words.
        bail!("that is no private key; it has 0x and 64 hexadecimal digits");
    }
    Ok(SecretString::from(format!("0x{digits}")))
}

fn accounts_table(accounts: &[AccountView]) -> String {
    table(
        &["Account", "Address", "Path", "Balances"],
        accounts.iter().map(|account| {
            let balances = account.balances.iter().map(|(network, wei)| format!("{} on {network}", ether(wei)));
            [
                account_name(account.index),
                account.address.clone(),
                account.path.clone(),
                balances.collect::<Vec<_>>().join(", "),
            ]
        }),
    )
}

pub(crate) async fn passphrase(context: &Context, command: Passphrase) -> anyhow::Result<()> {
    let Passphrase::Change { new_passphrase_file } = command;
    let mut daemon = context.daemon().await?;
    let old = secrets::passphrase(context.passphrase_file.as_deref(), "Present passphrase of the wallet: ")?;
    let new = secrets::new_passphrase(new_passphrase_file.as_deref(), "--new-passphrase-file FILE")?;
    let progress = Progress::new(context.out, "sealing the wallet anew");
    let params = json!({ "passphrase": old.expose_secret(), "newPassphrase": new.expose_secret() });
    daemon.call("passphrase_change", params).await?;
    drop(progress);
    context.out.either(&json!({ "changed": true }), |_| {
        "The passphrase is changed; all passphrase sessions have ended.\nBackups and copies made before still open with \
         the old one: make a new backup, and destroy the old ones if the old passphrase is known to others."
            .to_owned()
    })
}

pub(crate) async fn settings(context: &Context, command: cli::Settings) -> anyhow::Result<()> {
    let mut daemon = context.daemon().await?;
    let mut settings: Settings = daemon.get("settings", json!({})).await?;
    if let cli::Settings::Set(changes) = command {
        change(&mut settings, &changes)?;
        settings = daemon.get("settings_set", settings).await?;
    }
    context.out.either(&settings, settings_table)
}

fn change(settings: &mut Settings, changes: &SetSettings) -> anyhow::Result<()> {
    if let Some(text) = &changes.auto_lock {
        settings.auto_lock_seconds = match text.as_str() {
            "never" => 0,
            text => match times::length(text).map(|length| length / 1000) {
                None | Some(0) => bail!("--auto-lock: `{text}` is no time; write `15min`, `2h` or `never`"),
                Some(seconds) => seconds,
            },
        };
    }
    if let Some(switch) = changes.layer2_while_locked {
        settings.layer2_while_locked = switch == Switch::On;
    }
    Ok(())
}

fn settings_table(settings: &Settings) -> String {
    let lock = match settings.auto_lock_seconds {
        0 => "never by itself".to_owned(),
        seconds if seconds % 3600 == 0 => format!("after {} h without a decision of yours", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("after {} min without a decision of yours", seconds / 60),
        seconds => format!("after {seconds} s without a decision of yours"),
    };
    let layer2 = match settings.layer2_while_locked {
        true => "on: plugins go on signing with their own layer-2 accounts, to watch over your money",
        false => "off: plugins cannot sign anything until you unlock, not even to defend your money",
    };
    table(
        &["Setting", "Value", "Change it"],
        [
            ["The seed locks", lock.as_str(), "entresol settings set --auto-lock 15min"],
            ["Layer 2 while locked", layer2, "entresol settings set --layer2-while-locked on|off"],
        ]
        .map(|row| row.map(str::to_owned)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_people_write_them() {
        let check = |text: &str, expected: Option<u64>| {
            let mut settings = Settings { auto_lock_seconds: 1, layer2_while_locked: false };
            let changes = SetSettings { auto_lock: Some(text.to_owned()), layer2_while_locked: None };
            let changed = change(&mut settings, &changes).ok().map(|()| settings.auto_lock_seconds);
            assert_eq!(changed, expected, "{text}");
        };
        check("15min", Some(900));
        check("2 hours", Some(7200));
        check("never", Some(0));
        check("15", None);
        check("0s", None);
        check("soon", None);
    }

    #[test]
    fn a_key_that_is_none_is_not_repeated() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("key");
        let write = |text: &str| {
            use std::os::unix::fs::PermissionsExt;
            std::fs::write(&file, text).expect("written");
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("set");
        };
        write("abandon abandon about");
        let error = private_key(Some(&file)).expect_err("refused").to_string();
        assert!(error.contains("64 hexadecimal digits") && !error.contains("abandon"), "{error}");
        write(&format!("{}\n", "ab".repeat(32)));
        assert_eq!(private_key(Some(&file)).expect("a key").expose_secret(), format!("0x{}", "ab".repeat(32)));
    }
}
