//! What every command starts from: the home directory, how to print, where the passphrase comes from.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use entresol_api::{Client, ClientError};
use entresol_host::messages::{AccountView, NetworkView};
use entresol_vault::Vault;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use crate::cli::Global;
use crate::output::Output;
use crate::secrets;

/// Files of a home directory.
#[derive(Clone, Debug)]
pub(crate) struct Home(PathBuf);

impl Home {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The sealed seed.
    pub(crate) fn keystore(&self) -> PathBuf {
        self.0.join("keystore.json")
    }

    /// The encrypted database.
    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("wallet.db")
    }

    /// Held locked by the running daemon.
    pub(crate) fn lock(&self) -> PathBuf {
        self.0.join("daemon.lock")
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) home: Home,
    pub(crate) out: Output,
    pub(crate) passphrase_file: Option<PathBuf>,
}

impl Context {
    pub(crate) fn new(global: &Global) -> anyhow::Result<Self> {
        let home = match &global.home {
            Some(home) => std::path::absolute(home)?,
            None => default_home(|name| std::env::var_os(name).map(PathBuf::from))
                .context("there is no place for the wallet: HOME is not set; give --home DIR")?,
        };
        Ok(Self {
            home: Home::new(home),
            out: Output::new(global.json),
            passphrase_file: global.passphrase_file.clone(),
        })
    }

    /// Connects to the daemon.
    pub(crate) async fn daemon(&self) -> anyhow::Result<Daemon> {
        let client = Client::connect(self.home.path()).await;
        if matches!(client, Err(ClientError::NotRunning { .. })) && !self.home.keystore().exists() {
            bail!(NoWallet(self.home.path().to_owned()));
        }
        Ok(Daemon { client: client?, context: self.clone() })
    }
}

/// There is nothing a daemon could run on.
#[derive(Debug, thiserror::Error)]
#[error("there is no wallet in {}; make one with `entresol init`, or name its home by --home", .0.display())]
pub(crate) struct NoWallet(pub(crate) PathBuf);

/// `XDG_DATA_HOME/entresol`, as the XDG base directory specification says; on macOS the Library's place for it.
fn default_home(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |name: &str| variable(name).filter(|path| path.is_absolute());
    if let Some(data) = absolute("XDG_DATA_HOME") {
        return Some(data.join("entresol"));
    }
    let home = absolute("HOME")?;
    let data = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/share" };
    Some(home.join(data).join("entresol"))
}

/// A connection to the daemon that opens a passphrase session when one is asked for.
#[derive(Debug)]
pub(crate) struct Daemon {
    client: Client,
    context: Context,
}

impl Daemon {
    /// Calls a method; when the daemon wants a passphrase session, opens one and calls again.
    pub(crate) async fn call(&mut self, method: &str, params: impl Serialize) -> anyhow::Result<Json> {
        let params = serde_json::to_value(params)?;
        match self.client.call(method, &params).await {
            Err(error) if error.rpc().is_some_and(entresol_api::RpcError::wants_session) => {
                self.open_session().await?;
                Ok(self.client.call(method, &params).await?)
            }
            outcome => Ok(outcome?),
        }
    }

    /// As [`call`](Self::call), read as `T`.
    pub(crate) async fn get<T: DeserializeOwned>(&mut self, method: &str, params: impl Serialize) -> anyhow::Result<T> {
        let answer = self.call(method, params).await?;
        serde_json::from_value(answer)
            .with_context(|| format!("the daemon's answer to `{method}` cannot be read; is it of this version?"))
    }

    async fn open_session(&mut self) -> anyhow::Result<()> {
        self.with_passphrase("session_open", json!({})).await?;
        Ok(())
    }

    /// Calls a method that takes the passphrase itself, session or not.
    pub(crate) async fn with_passphrase(&mut self, method: &str, mut params: Json) -> anyhow::Result<Json> {
        use secrecy::ExposeSecret;
        let passphrase = secrets::passphrase(self.context.passphrase_file.as_deref(), "Passphrase of the wallet: ")?;
        if let Some(params) = params.as_object_mut() {
            params.insert("passphrase".to_owned(), Json::String(passphrase.expose_secret().to_owned()));
        }
        Ok(self.client.call(method, params).await?)
    }

    /// The layer-1 network that is meant: the one named, else the only one.
    pub(crate) async fn network(&mut self, named: Option<String>) -> anyhow::Result<String> {
        if let Some(named) = named {
            return Ok(named);
        }
        let mut networks: Vec<NetworkView> = self.get("networks", json!({})).await?;
        match networks.len() {
            1 => Ok(networks.remove(0).name),
            0 => bail!("there is no layer-1 network yet; add one with `entresol network add NAME URL…`"),
            _ => {
                let names: Vec<String> = networks.into_iter().map(|network| network.name).collect();
                bail!("there are several layer-1 networks; say which one: {}", names.join(", "))
            }
        }
    }

    /// The index of an own account: a number, `imported-N`, or its address.
    pub(crate) async fn account(&mut self, text: &str) -> anyhow::Result<u32> {
        if let Ok(index) = text.parse::<u32>()
            && index < Vault::IMPORTED
        {
            return Ok(index);
        }
        let accounts: Vec<AccountView> = self.get("accounts", json!({})).await?;
        let found = accounts
            .iter()
            .find(|account| account.address.eq_ignore_ascii_case(text) || account_name(account.index) == text);
        match found {
            Some(account) => Ok(account.index),
            None => bail!("there is no own account `{text}`; see `entresol account list`"),
        }
    }
}

/// What people call an own account: its number, or `imported-N`.
pub(crate) fn account_name(index: u32) -> String {
    match index.checked_sub(Vault::IMPORTED) {
        None => index.to_string(),
        Some(imported) => format!("imported-{}", u64::from(imported) + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imported_accounts_have_names() {
        assert_eq!(account_name(0), "0");
        assert_eq!(account_name(Vault::IMPORTED), "imported-1");
        assert_eq!(account_name(u32::MAX), "imported-2147483648");
    }

    #[test]
    fn the_home_follows_xdg() {
        let check = |set: &[(&str, &str)], expected: Option<&str>| {
            let found = default_home(|name| set.iter().find(|(n, _)| *n == name).map(|(_, v)| PathBuf::from(v)));
            assert_eq!(found.as_deref(), expected.map(Path::new), "{set:?}");
        };
        check(&[("XDG_DATA_HOME", "/data"), ("HOME", "/home/u")], Some("/data/entresol"));
        check(&[], None);
        #[cfg(target_os = "linux")]
        check(&[("XDG_DATA_HOME", "relative"), ("HOME", "/home/u")], Some("/home/u/.local/share/entresol"));
    }
}
