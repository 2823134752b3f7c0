//! The wallet itself: init, lock, status, networks.

use anyhow::{Context as _, bail};
use clap::CommandFactory;
use clap_complete::Shell;
use entresol_durable::REGISTRY;
use entresol_host::messages::{NetworkInput, NetworkView, Status};
use entresol_vault::{KdfCost, Vault};
use secrecy::ExposeSecret;
use serde_json::{Value as Json, json};

use crate::cli::{Cli, Init, Network};
use crate::context::Context;
use crate::output::{Progress, table, visible};
use crate::secrets;

pub(crate) fn init(context: &Context, args: &Init) -> anyhow::Result<()> {
    let home = context.home.path();
    let keystore = context.home.keystore();
    if keystore.exists() {
        bail!("there is already a wallet in {}; use it, or name another home by --home", home.display());
    }
    let given = args.phrase_file.as_deref().map(secrets::from_file).transpose()?;
    let passphrase = secrets::new_passphrase(context.passphrase_file.as_deref(), secrets::PASSPHRASE_OPTION)?;
    entresol_durable::create_private_dir(home)
        .with_context(|| format!("cannot make {}; choose another place by --home", home.display()))?;
    let restored = given.is_some();
    let words = match given {
        Some(words) => words,
        None => Vault::new_phrase()?,
    };
    // New words are shown before the wallet is written: no crash leaves a wallet whose words nobody has seen. A
    // restored phrase is the user's already.
    if !restored && !context.out.is_json() {
        context.out.line("The words of your new wallet, shown this once:\n");
        context.out.line(format!("    {}\n", words.expose_secret()));
        context
            .out
            .line("Write them down in order and keep them away from computers: whoever has them has the wallet,");
        context.out.line("and without them a lost passphrase or disk loses it.");
    }
    let report = json!({ "home": home, "restored": restored, "phrase": (!restored).then(|| words.expose_secret()) });
    if !restored && context.out.is_json() {
        context.out.json(&report)?;
    }
    let progress = Progress::new(context.out, "sealing the wallet");
    Vault::create(&keystore, Some(&words), &passphrase, KdfCost::default())?;
    drop(progress);
    if context.out.is_json() {
        return if restored { context.out.json(&report) } else { Ok(()) };
    }
    let what = if restored { "restored" } else { "sealed" };
    context.out.line(format!("The wallet is {what} in {}.", home.display()));
    context.out.line("Next: `entresol daemon` in a terminal of its own.");
    Ok(())
}

pub(crate) async fn unlock(context: &Context) -> anyhow::Result<()> {
    let mut daemon = context.daemon().await?;
    daemon.with_passphrase("unlock", json!({})).await?;
    context.out.either(&json!({ "locked": false }), |_| "The wallet is unlocked.".to_owned())
}

pub(crate) async fn lock(context: &Context) -> anyhow::Result<()> {
    context.daemon().await?.call("lock", json!({})).await?;
    context
        .out
        .either(&json!({ "locked": true }), |_| "The wallet is locked; all passphrase sessions have ended.".to_owned())
}

pub(crate) async fn status(context: &Context) -> anyhow::Result<()> {
    let status: Status = context.daemon().await?.get("status", json!({})).await?;
    context.out.either(&status, |status| {
        let seed = if status.locked { "locked (unlock with `entresol unlock`)" } else { "unlocked" };
        let waiting = match status.pending_approvals {
            0 => "none".to_owned(),
            n => format!("{n} (see `entresol approvals`)"),
        };
        let mut text = table(
            &[],
            [
                ["Version", &status.version],
                ["Home", &status.home],
                ["Seed", seed],
                ["Solutions", &status.solutions.to_string()],
                ["Requests that wait", &waiting],
                ["For apps and extensions", status.site.as_deref().unwrap_or("no port")],
            ]
            .map(|row| row.map(str::to_owned)),
        );
        if !status.networks.is_empty() {
            text.push('\n');
            text.push_str(&networks(&status.networks));
        }
        text
    })
}

pub(crate) async fn web(context: &Context) -> anyhow::Result<()> {
    let link: Json = context.daemon().await?.call("web_link", json!({})).await?;
    let url = link.as_str().context("the daemon's answer has no address; is it of this version?")?;
    context.out.either(&json!({ "url": url }), |_| {
        format!("{}\n(works once; whoever opens it can decide for you: keep it to yourself)", visible(url))
    })
}

pub(crate) async fn network(context: &Context, command: Network) -> anyhow::Result<()> {
    let mut daemon = context.daemon().await?;
    match command {
        Network::Add { name, urls, chain_id, confirmations } => {
            let input = NetworkInput { name, rpc_urls: urls, chain_id, confirmations };
            let network: NetworkView = daemon.get("network_add", input).await?;
            context.out.either(&network, |network| networks(std::slice::from_ref(network)))
        }
        Network::List => {
            let list: Vec<NetworkView> = daemon.get("networks", json!({})).await?;
            context.out.either(&list, |list| networks(list))
        }
    }
}

fn networks(list: &[NetworkView]) -> String {
    table(
        &["Network", "Chain id", "Endpoints", "Confirmations", "Newest block", "Health"],
        list.iter().map(|network| {
            [
                network.name.clone(),
                network.chain_id.to_string(),
                network.rpc_urls.join(", "),
                network.confirmations.to_string(),
                network.head.map_or_else(|| "not seen yet".to_owned(), |head| head.to_string()),
                network.problem.clone().unwrap_or_else(|| "good".to_owned()),
            ]
        }),
    )
}

pub(crate) fn completions(shell: Shell) {
    clap_complete::generate(shell, &mut Cli::command(), "entresol", &mut std::io::stdout());
}

pub(crate) fn write_points(context: &Context) -> anyhow::Result<()> {
    let points: Vec<_> = REGISTRY
        .iter()
        .map(|point| json!({ "name": point.name, "process": point.process.name(), "what": point.what }))
        .collect();
    context.out.either(&points, |_| {
        table(
            &["Write point", "Process", "Durable after it"],
            REGISTRY.iter().map(|p| [p.name.to_owned(), p.process.name().to_owned(), p.what.to_owned()]),
        )
    })
}
