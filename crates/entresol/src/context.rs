//! What every command starts from: the home directory, how to print, where the passphrase comes from.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use entresol_api::{Client, ClientError};
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
        self.with_passphrase("session_open").await?;
        Ok(())
    }

    /// Calls a method whose one parameter is the passphrase.
    pub(crate) async fn with_passphrase(&mut self, method: &str) -> anyhow::Result<Json> {
        use secrecy::ExposeSecret;
        let passphrase = secrets::passphrase(self.context.passphrase_file.as_deref(), "Passphrase of the wallet: ")?;
        Ok(self.client.call(method, json!({ "passphrase": passphrase.expose_secret() })).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
