//! The daemon: puts vault, store, sandbox, host, control socket and web page together, and takes them apart again.
//!
//! Order of starting: no core dumps, exclusive lock on the home, vault (the passphrase opens it), database (its key lies
//! in the vault's file), engine, host, page, listeners for browsers and apps, socket, ready line. Order of ending:
//! listeners and page, host, lock.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use entresol_api::site::{Site, SiteServer};
use entresol_api::{Control, WebLink};
use entresol_host::{Host, HostConfig};
use entresol_sandbox::Engine;
use entresol_store::Store;
use entresol_vault::Vault;
use entresol_web::WebServer;
use payments_node::NodeArgs;
use rustix::fs::FlockOperation;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::cli;
use crate::context::{Context, NoWallet};
use crate::hardening;
use crate::logging;
use crate::output::{Progress, note};
use crate::process::Signals;
use crate::secrets;

pub(crate) async fn run(context: &Context, args: &cli::Daemon) -> anyhow::Result<()> {
    logging::start();
    hardening::harden()?;
    let stop = CancellationToken::new();
    let home = context.home.path();
    if !context.home.keystore().exists() {
        bail!(NoWallet(home.to_owned()));
    }
    let _lock = lock(&context.home.lock())?;
    let passphrase = secrets::passphrase(context.passphrase_file.as_deref(), "Passphrase of the wallet: ")?;
    // From here on a signal ends the daemon in good order; at the prompt it just ends it.
    let mut signals = Signals::listen()?;
    let progress = Progress::new(context.out, "opening the wallet");
    let (vault, key) = Vault::open(&context.home.keystore(), &passphrase)?;
    drop(passphrase);
    if !vault.memory_locked() {
        tracing::warn!(
            "the system refuses to keep keys out of its swap file; raise the limit on locked memory (`ulimit -l`)"
        );
    }
    let store = Store::open(&context.home.database(), key.expose())?;
    drop(key);
    progress.say("preparing the JavaScript engine");
    // Compiled code is trusted code: it lies in a directory that only this user can write, as the program itself.
    let cache = entresol_package::default_cache_dir().map_or_else(|| home.join("cache"), |dir| dir.join("engine"));
    entresol_durable::create_private_dir(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let engine = Engine::new(Some(&cache))?;
    drop(progress);

    let config = HostConfig {
        home: home.to_owned(),
        poll_interval: Duration::from_millis(args.poll_ms),
        allow_private_urls: true,
        kdf_cost: entresol_vault::KdfCost::default(),
        idle_stop: entresol_host::IDLE_STOP,
    };
    let host = Host::start(config, vault, store.clone(), engine).await?;
    let page = match args.no_web {
        true => None,
        false => Some(WebServer::start(host.clone(), args.web_port, stop.clone()).await?),
    };
    let link = page.clone().map(|page| -> WebLink { Arc::new(move || page.link().map_err(|error| error.to_string())) });
    let (site, apps) = listen(&host, &store, page.as_ref(), args.site_port, &stop).await?;
    drop(store);
    let browsers = entresol_api::site::bind_site(home)?;
    let browsing = tokio::spawn(entresol_api::site::serve_site(site, browsers));
    let control = Control::new(host.clone(), link, apps.as_ref().map(SiteServer::address), stop.clone());
    let listener = entresol_api::bind(home)?;
    let socket = entresol_api::socket_path(home);
    let serving = tokio::spawn(entresol_api::serve(control, listener, stop.clone()));

    // Whoever starts a daemon waits for this line.
    let address = page.as_ref().map(|page| format!("http://{}", page.address()));
    let site = apps.as_ref().map(|apps| format!("http://{}", apps.address()));
    let ready = json!({
        "ready": true, "home": home, "socket": socket, "page": address, "site": site, "pid": std::process::id() });
    context.out.either(&ready, |_| {
        format!("ready: wallet in {}; go on in another terminal, Ctrl-C ends the daemon", home.display())
    })?;
    tokio::select! {
        () = signals.any() => {}
        () = stop.cancelled() => {}
    }
    tracing::info!("ending");
    stop.cancel();
    serving.await.context("the control socket's task failed")?;
    browsing.await.context("the browsers' socket's task failed")?;
    if let Some(apps) = apps {
        apps.ended().await;
    }
    if let Some(page) = page {
        page.ended().await;
    }
    host.shutdown().await;
    Ok(())
}

/// The setting in which the port for apps is remembered: their addresses name it.
const SITE_PORT: &str = "site_port";

/// Opens the listener for local apps and the extension's WebSocket, on the port that it had the last time. When another
/// program has that one, the wallet goes on without: what would answer there is not the wallet.
async fn listen(
    host: &Host,
    store: &Store,
    page: Option<&WebServer>,
    asked: Option<u16>,
    stop: &CancellationToken,
) -> anyhow::Result<(Arc<Site>, Option<SiteServer>)> {
    let page = page.map(|page| format!("http://{}/", page.address()));
    let site = Site::new(host.clone(), page, stop.clone());
    let remembered = store.meta(SITE_PORT)?.and_then(|port| u16::try_from(port.as_u64()?).ok());
    let server = match (SiteServer::start(Arc::clone(&site), asked.or(remembered).unwrap_or(0)).await, asked) {
        (Ok(server), _) => server,
        (Err(error), Some(_)) => return Err(error.into()),
        (Err(error), None) => {
            let error = anyhow::Error::from(error);
            tracing::warn!(
                "local apps cannot reach the wallet: {error:#}; their addresses name this port, and whatever answers \
                 there now is not the wallet"
            );
            return Ok((site, None));
        }
    };
    let port = server.address().port();
    if remembered != Some(port) {
        // A full disk is no reason not to start.
        if let Err(error) = store.put_meta(SITE_PORT, &json!(port)) {
            tracing::warn!(%error, "the port for apps was not remembered: it may be another one at the next start");
        }
    }
    Ok((site, Some(server)))
}

/// One daemon a home. The kernel releases the lock with the process, however it ends.
fn lock(path: &Path) -> anyhow::Result<File> {
    let file = open_lock(path).with_context(|| format!("cannot open {}", path.display()))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            bail!("a daemon runs on this wallet already; use it, or end it with Ctrl-C in its terminal")
        }
        Err(error) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

#[allow(clippy::disallowed_methods, reason = "the file is only ever locked, nothing is written into it")]
fn open_lock(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// `entresol node payments`.
pub(crate) async fn node(context: &Context, args: NodeArgs) -> anyhow::Result<()> {
    logging::start_with(args.log_format, args.log_level.as_deref())?;
    let out = context.out;
    payments_node::run(args, move |ready| {
        let printed = out.either(ready, |ready| format!("ready: {}", ready.listening));
        if let Err(error) = printed {
            note(format!("cannot print the ready line: {error:#}"));
        }
    })
    .await?;
    Ok(())
}
