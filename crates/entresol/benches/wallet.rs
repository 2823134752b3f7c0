//! `cargo xtask bench wallet`: unlocking the seed, and the start of the daemon with 100 solutions.
//!
//! One JSON object in a line for each figure, as `xtask/src/bench.rs` describes. The daemon is the real program on a
//! real home; the solutions are installed straight into its database, because a hundred approvals are not what is
//! measured. Their plugin keeps a value and publishes it, and is started by the daemon like any other.

#![allow(clippy::print_stdout, reason = "figures are the output of a bench")]
#![allow(clippy::disallowed_methods, reason = "files of the bench's own, thrown away at its end")]

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use entresol_api::Client;
use entresol_host::interface::Interface;
use entresol_host::messages::SolutionView;
use entresol_package::Package;
use entresol_store::{Network, NewSolution, Store};
use entresol_vault::{KdfCost, SubtreePath, Vault};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value as Json, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

const PROGRAM: &str = env!("CARGO_BIN_EXE_entresol");
const PASSPHRASE: &str = "correct horse battery staple";
/// Solutions of the large wallet.
const SOLUTIONS: u64 = 100;
/// Runs of each measurement; the median counts.
const RUNS: usize = 7;
/// Longest wait for a daemon.
const PATIENCE: Duration = Duration::from_secs(120);

const SCRIPT: &str = r#"
export default class Keeper {
  constructor({ wallet }) {
    this.wallet = wallet;
    this.layer2Interface = {
      actions: [{ name: "put", call: ({ value }) => wallet.persist("value", value), params: [{ name: "value", type: "string" }] }],
      state: [{ name: "value", type: "string" }],
    };
  }
  async onStart() { await this.wallet.updateLayer2State({ value: (await this.wallet.getFromLocalDb("value")) ?? "" }); }
}
"#;

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    unlock(folder.path())?;
    let passphrase = folder.path().join("passphrase");
    std::fs::write(&passphrase, PASSPHRASE)?;
    std::fs::set_permissions(&passphrase, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let mut figures = Vec::new();
    for solutions in [0, SOLUTIONS] {
        let home = folder.path().join(format!("home-{solutions}"));
        make_home(&home, folder.path(), solutions)?;
        let (mut ready, mut running, mut memory) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let start = Instant::now();
            let mut daemon = start_daemon(&home, &passphrase)?;
            ready.push(start.elapsed().as_secs_f64() * 1e3);
            runtime.block_on(all_run(&home, solutions))?;
            running.push(start.elapsed().as_secs_f64() * 1e3);
            memory.push(resident(&daemon)?);
            daemon.kill()?;
            daemon.wait()?;
        }
        figures.push((median(&mut ready), median(&mut running), median(&mut memory)));
    }
    if let [(empty, _, small), (full, all, large)] = figures[..] {
        say("daemon start, no solution, to ready", empty, "ms", None);
        say("daemon start, 100 solutions, to ready", full, "ms", Some(("no solution", empty)));
        say("daemon start, 100 solutions, all plugins run", all, "ms", Some(("no solution, to ready", empty)));
        say("memory, 100 plugins running", large, "MiB", Some(("no solution", small)));
        say("memory of one plugin", (large - small) / SOLUTIONS as f64, "MiB", None);
    }
    Ok(())
}

/// Unlocking at the default cost, beside Argon2id alone with the same numbers: what is above it is ours.
fn unlock(folder: &Path) -> Outcome<()> {
    let path = folder.join("keystore.json");
    let passphrase = SecretString::from(PASSPHRASE);
    let cost = KdfCost::default();
    Vault::create(&path, None, &passphrase, cost)?;
    let (vault, _) = Vault::open(&path, &passphrase)?;
    let params = argon2::Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32)).map_err(|e| e.to_string())?;
    let argon = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let (mut ours, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        vault.lock();
        let start = Instant::now();
        vault.unlock(&passphrase)?;
        ours.push(start.elapsed().as_secs_f64() * 1e3);
        let mut key = [0; 32];
        let start = Instant::now();
        argon
            .hash_password_into(passphrase.expose_secret().as_bytes(), b"sixteen bytes!!!", &mut key)
            .map_err(|e| e.to_string())?;
        alone.push(start.elapsed().as_secs_f64() * 1e3);
    }
    say("unlock", median(&mut ours), "ms", Some(("Argon2id alone", median(&mut alone))));
    Ok(())
}

fn make_home(home: &Path, folder: &Path, solutions: u64) -> Outcome<()> {
    std::fs::create_dir(home)?;
    std::fs::set_permissions(home, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    Vault::create(&home.join(entresol_host::KEYSTORE), None, &PASSPHRASE.into(), KdfCost::default())?;
    let (_, key) = Vault::open(&home.join(entresol_host::KEYSTORE), &PASSPHRASE.into())?;
    let store = Store::open(&home.join(entresol_host::DATABASE), key.expose())?;
    // Nobody listens there: the start does not wait for layer 1.
    let urls = vec!["http://127.0.0.1:1".to_owned()];
    store.put_network(&Network { name: "dev".into(), chain_id: 31337, rpc_urls: urls, confirmations: 1 })?;
    let source = folder.join(format!("source-{solutions}"));
    std::fs::create_dir(&source)?;
    let manifest = json!({
        "name": "keeper", "version": "1.0.0", "type": "module", "main": "index.js",
        "layer2": { "apiVersion": 1, "title": "Keeper", "description": "keeps a value",
                    "permissions": { "keys": { "curve": "secp256k1" }, "localDatabase": { "quota": "64 KiB" } } }
    });
    std::fs::write(source.join("package.json"), manifest.to_string())?;
    std::fs::write(source.join("index.js"), SCRIPT)?;
    let package = Package::load_folder(&source)?;
    let stored = package.store_into(&home.join("packages"))?;
    let value = json!([{ "name": "value", "type": "string" }]);
    let interface = Interface::parse(&json!({
        "actions": [{ "name": "put", "params": value, "returns": [], "readOnly": false, "confirmation": false }],
        "state": value,
    }))?;
    let grants = package.manifest.requested().iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
    for number in 0..solutions {
        let name = format!("keeper-{number}");
        let new = NewSolution {
            title: package.manifest.title.clone(),
            network: "dev".into(),
            owner_index: 0,
            gateway: None,
            network_urls: Vec::new(),
            key_path: SubtreePath::default_for(31337, None, &name).to_string(),
            package_name: package.name.clone(),
            package_version: package.version.clone(),
            package_sha512: package.sha512.to_hex(),
            package_dir: stored.display().to_string(),
            from_block: 0,
            interface_digest: interface.digest()?.to_string(),
            interface: serde_json::to_value(&interface)?,
            manifest: serde_json::to_value(&package.manifest)?,
            name,
        };
        store.install(&new, &grants, None, 0)?;
    }
    Ok(())
}

/// The program, until its ready line.
fn start_daemon(home: &Path, passphrase: &Path) -> Outcome<Child> {
    let mut daemon = Command::new(PROGRAM)
        .args(["daemon", "--no-web", "--home"])
        .arg(home)
        .arg("--passphrase-file")
        .arg(passphrase)
        .env_remove("ENTRESOL_HOME")
        .env("ENTRESOL_LOG", "off")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = daemon.stdout.take().ok_or("no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    if !line.contains("ready") {
        daemon.kill()?;
        return Err(format!("the daemon said {line:?} instead of being ready").into());
    }
    Ok(daemon)
}

/// Waits until every plugin runs.
async fn all_run(home: &Path, solutions: u64) -> Outcome<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut client = Client::connect(home).await?;
    loop {
        let views: Vec<SolutionView> = serde_json::from_value(client.call("solutions", &json!({})).await?)?;
        if views.len() as u64 == solutions && views.iter().all(|view| view.plugin == "running") {
            return Ok(());
        }
        // Nothing reaches these from outside, so they sleep until they are asked for something.
        for view in views.iter().filter(|view| view.plugin == "asleep") {
            client.call("state", &json!({ "solution": view.name, "refresh": true })).await?;
        }
        if Instant::now() > deadline {
            let one = views.iter().find(|view| view.plugin != "running").map(|view| view.plugin.clone());
            return Err(format!("plugins do not run: {one:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Resident memory of the daemon, MiB.
fn resident(daemon: &Child) -> Outcome<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id()))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    let kib: f64 = line.split_whitespace().nth(1).ok_or("no number")?.parse()?;
    Ok(kib / 1024.0)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn say(name: &str, value: f64, unit: &str, baseline: Option<(&str, f64)>) {
    let mut figure: Json = json!({ "name": name, "value": value, "unit": unit });
    if let Some((baseline, than)) = baseline {
        figure["baseline"] = json!(baseline);
        figure["baseline_value"] = json!(than);
        figure["ratio"] = json!(value / than);
    }
    println!("{figure}");
}
