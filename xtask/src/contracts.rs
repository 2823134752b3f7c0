//! `cargo xtask contracts`: compiles the payments gateway with the pinned npm `solc` and writes the artifact that the
//! Rust crates embed; `--check` compares instead, byte for byte.
//!
//! Everything that goes into the result is in the repository: the sources, the compiler's version and integrity hash
//! (`package-lock.json`), the settings below. npm fetches the compiler from wherever npm is configured to.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Where contract, package files and artifact lie, from the repository's root.
const FOLDER: &str = "solutions/payments/contract";
/// File and contract name.
const CONTRACT: &str = "PaymentsGateway";
/// Largest deployed code that layer 1 takes, in bytes (EIP-170).
const CODE_LIMIT: usize = 24_576;

/// Options of `cargo xtask contracts`.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct ContractsArgs {
    /// Compare with the committed artifact instead of writing it; fails when a byte differs.
    #[arg(long)]
    pub(crate) check: bool,
}

/// Builds the artifact, and writes or compares it.
///
/// # Errors
/// npm or node is missing or fails, solc finds fault, the code is too large, or (`--check`) the artifact differs.
pub(crate) fn run(args: ContractsArgs) -> anyhow::Result<()> {
    let folder = repository()?.join(FOLDER);
    let sources = sources(&folder.join("contracts"))?;
    let artifact = build(&folder, &sources)?;
    let path = folder.join("artifacts").join(format!("{CONTRACT}.json"));
    if args.check {
        let committed = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        ensure!(
            committed == artifact,
            "{} is not what these sources and this compiler make; run `cargo xtask contracts` and commit the result",
            path.display()
        );
        return Ok(());
    }
    write(&path, &artifact)
}

/// The repository's root.
fn repository() -> anyhow::Result<PathBuf> {
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").context("run this as `cargo xtask contracts`")?;
    Path::new(&xtask).parent().map(Path::to_owned).context("xtask has no parent folder")
}

/// File names and contents, in order of names.
fn sources(folder: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut sources = BTreeMap::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "sol") {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        sources.insert(name, text);
    }
    Ok(sources)
}

/// The settings, in the words of solc's standard JSON.
fn settings() -> Value {
    json!({
        // 2000 runs were measured too: the code grows by 1.8 KB, and nothing gets cheaper by half a percent.
        "optimizer": { "enabled": true, "runs": 200 },
        // Without it the stack is too small for submitBatch and contest.
        "viaIR": true,
        // Transient storage, and nothing newer.
        "evmVersion": "cancun",
        // No hash of comments and file names in the code.
        "metadata": { "bytecodeHash": "none", "appendCBOR": false },
    })
}

fn build(folder: &Path, sources: &BTreeMap<String, String>) -> anyhow::Result<String> {
    let settings = settings();
    let mut input = json!({
        "language": "Solidity",
        "sources": sources.iter().map(|(name, text)| (name.clone(), json!({ "content": text }))).collect::<serde_json::Map<_, _>>(),
        "settings": settings,
    });
    input["settings"]["outputSelection"] = json!({
        "*": { CONTRACT: ["abi", "metadata", "evm.bytecode.object", "evm.deployedBytecode.object"] }
    });
    let output = compile(folder, &input)?;
    let found: Vec<_> = output["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|error| error["formattedMessage"].as_str())
        .collect();
    ensure!(found.is_empty(), "solc finds fault (warnings count):\n{}", found.join("\n"));

    let contract = &output["contracts"][format!("{CONTRACT}.sol")][CONTRACT];
    let bytecode = code(&contract["evm"]["bytecode"])?;
    let deployed = code(&contract["evm"]["deployedBytecode"])?;
    let size = (deployed.len() - 2) / 2;
    ensure!(size <= CODE_LIMIT, "the deployed code has {size} bytes, layer 1 takes {CODE_LIMIT}");
    let metadata: Value = serde_json::from_str(contract["metadata"].as_str().context("solc gave no metadata")?)?;
    let artifact = sorted(json!({
        "abi": contract["abi"],
        "bytecode": bytecode,
        "deployedBytecode": deployed,
        "compiler": format!("solc {}", metadata["compiler"]["version"].as_str().context("solc told no version")?),
        "settings": settings,
        "sourceSha256": digest(sources),
    }));
    Ok(serde_json::to_string_pretty(&artifact)? + "\n")
}

/// Installs the locked compiler into a folder of its own and runs it.
fn compile(folder: &Path, input: &Value) -> anyhow::Result<Value> {
    let work = tempfile::tempdir()?;
    for name in ["package.json", "package-lock.json"] {
        let text = std::fs::read_to_string(folder.join(name))?;
        write(&work.path().join(name), &text)?;
    }
    let npm = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(&work)
        .output()
        .context(
            "npm cannot be started: install Node.js 20 or newer with npm (only rebuilding the contract needs it)",
        )?;
    ensure!(
        npm.status.success(),
        "npm could not install the compiler; is its registry reachable?\n{}",
        String::from_utf8_lossy(&npm.stderr)
    );
    // Into a file: solc.js exits before a pipe has taken more than 64 KiB.
    let mut output = tempfile::tempfile()?;
    let mut solc = Command::new("node")
        .args(["node_modules/solc/solc.js", "--standard-json"])
        .current_dir(&work)
        .stdin(Stdio::piped())
        .stdout(output.try_clone()?)
        .spawn()
        .context("node cannot be started: install Node.js 20 or newer")?;
    // Dropped at the end of the statement, so that solc sees the end of its input.
    solc.stdin.take().context("solc has no input")?.write_all(input.to_string().as_bytes())?;
    let status = solc.wait()?;
    let mut text = String::new();
    output.rewind()?;
    output.read_to_string(&mut text)?;
    // A remark about SMT solvers precedes the answer.
    let Some(answer) = text.lines().find(|line| line.starts_with('{')) else {
        bail!("solc gave no answer ({status}): {text}");
    };
    Ok(serde_json::from_str(answer)?)
}

fn code(output: &Value) -> anyhow::Result<String> {
    let object = output["object"].as_str().unwrap_or_default();
    ensure!(!object.is_empty() && hex::decode(object).is_ok(), "solc gave no linked bytecode");
    Ok(format!("0x{object}"))
}

/// SHA-256 over name, 0, content, 0 of every source, in order of names.
fn digest(sources: &BTreeMap<String, String>) -> String {
    let mut hasher = Sha256::new();
    for part in sources.iter().flat_map(|(name, text)| [name, text]) {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    hex::encode(hasher.finalize())
}

/// Keys in order, whether or not some crate of the build switched on serde_json's `preserve_order`.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let map: BTreeMap<_, _> = map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(map.into_iter().collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        other => other,
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "a build product in the work tree, made again at will")]
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests;
