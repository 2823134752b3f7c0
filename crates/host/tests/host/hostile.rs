//! Hostile scripts against what only a whole wallet has: its limits by the minute, its database, its permissions. The
//! sibling of the sandbox's corpus: each script in `hostile/` names what it attacks, the manifest that holds it, the
//! one that does not, and what becomes of it under each.

use crate::support::*;
use serde_json::{Value as Json, json};

fn field<'a>(source: &'a str, key: &str) -> &'a str {
    let start = format!("// {key}: ");
    source.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_else(|| panic!("the header has no {key}"))
}

/// Installs the script with these permissions and gives what came of calling it.
async fn outcome(wallet: &Wallet, name: &str, source: &str, permissions: &str) -> String {
    let folder = wallet.home.path().join(format!("hostile-{name}"));
    write_package(&folder, source, false);
    let permissions: Json = serde_json::from_str(permissions).expect("the header's permissions are JSON");
    let manifest = json!({
        "name": "hostile", "version": "1.0.0", "type": "module", "main": "index.js",
        "layer2": { "apiVersion": 1, "title": "Hostile", "permissions": permissions }
    });
    write(&folder.join("package.json"), &manifest.to_string());
    let proposed = wallet.host().solution_add(&USER, input(name, &folder, None)).await.expect("proposed");
    let done = wallet.approve(&proposed).await;
    assert_eq!(done.state, "done", "{:?}", done.outcome);
    match wallet.call(name, "attack", json!({})).await {
        Ok(answer) => answer.as_str().unwrap_or_default().to_owned(),
        Err(error) if error.code == entresol_host::error::code::PLUGIN_STOPPED => "stopped".to_owned(),
        Err(error) => format!("{} {}", error.code, error.message),
    }
}

async fn prove(source: &str) {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    let held = outcome(&wallet, "held", source, field(source, "held")).await;
    assert_eq!(held, field(source, "expect"), "as it is");
    let lifted = outcome(&wallet, "lifted", source, field(source, "wide")).await;
    assert_eq!(lifted, field(source, "lifted"), "with {} lifted", field(source, "attacks"));
    assert_ne!(held, lifted);
    wallet.host().shutdown().await;
}

/// A test for each script, and the list of them.
macro_rules! corpus {
    ($($name:ident)*) => {
        const CORPUS: &[&str] = &[$(stringify!($name)),*];
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            prove(include_str!(concat!("hostile/", stringify!($name), ".js"))).await;
        })*
    };
}

corpus! {
    database_bytes database_quota database_writes endless permission_missing requests requests_at_once timers
}

#[test]
fn every_script_of_the_corpus_has_a_test() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host/hostile");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .expect("the folder of the corpus")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    files.sort();
    assert_eq!(files, CORPUS.iter().map(|name| format!("{name}.js")).collect::<Vec<_>>());
}
