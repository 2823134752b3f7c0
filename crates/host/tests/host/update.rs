//! Another version of a plugin: what is refused, what is shown, what stays, and that no message is lost on the way.

use crate::says;
use crate::support::*;
use entresol_host::error::code;
use entresol_host::messages::{
    ActivityFilter, ApprovalView, CallerGrantInput, Decision, PolicyInput, SolutionView, UpdateInput,
};
use entresol_host::policy::Rule;
use entresol_host::{HostError, IDLE_STOP};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

const SCRIPT: &str = include_str!("updated.js");
const KEYS: &str = "make and use accounts of its own on layer 2 (the keys stay in the vault)";

/// A package of this version; `script` takes the place of some words of the usual one.
fn package(wallet: &Wallet, version: &str, layer2: &Json, script: &[(&str, &str)]) -> PathBuf {
    let folder = wallet.home.path().join(format!("package-{version}"));
    let mut text = SCRIPT.replace("$VERSION", version);
    for (from, to) in script {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    write_package(&folder, &text, false);
    let mut manifest = json!({
        "name": "updated", "version": version, "type": "module", "main": "index.js",
        "layer2": {
            "apiVersion": 1, "title": "Updated",
            "permissions": { "keys": { "curve": "secp256k1" }, "localDatabase": { "quota": "64 KiB" }, "network": ["$networkUrl"] },
        },
    });
    for (field, value) in layer2.as_object().expect("an object") {
        manifest["layer2"][field] = value.clone();
    }
    write(&folder.join("package.json"), &manifest.to_string());
    folder
}

async fn install(wallet: &Wallet, node: Option<&str>) {
    let folder = package(wallet, "1.0.0", &json!({}), &[]);
    let mut wanted = input("updated", &folder, None);
    wanted.network_urls = node.into_iter().map(Into::into).collect();
    let proposed = wallet.host().solution_add(&USER, wanted).await.expect("proposed");
    assert_eq!(wallet.approve(&proposed).await.state, "done");
    wallet.plugin("updated", "running").await;
}

async fn propose(wallet: &Wallet, folder: &std::path::Path, allow_not_newer: bool) -> Result<ApprovalView, HostError> {
    let input = UpdateInput {
        solution: "updated".into(),
        script: format!("folder:{}", folder.display()),
        allow_not_newer,
        request_key: None,
    };
    wallet.host().solution_update(&USER, input).await
}

async fn update(wallet: &Wallet, folder: &std::path::Path) -> ApprovalView {
    let proposed = propose(wallet, folder, false).await.expect("proposed");
    let done = wallet.approve(&proposed).await;
    assert_eq!(done.state, "done", "{:?}", done.outcome);
    done
}

async fn show(wallet: &Wallet) -> SolutionView {
    wallet.host().solution(&USER, "updated").await.expect("there")
}

async fn seen(wallet: &Wallet) -> Json {
    let text = wallet.call("updated", "seen", json!({})).await.expect("answers");
    serde_json::from_str(text.as_str().expect("a text")).expect("JSON")
}

fn values<'a>(approval: &'a ApprovalView, label: &str) -> Vec<&'a str> {
    approval.rows.iter().filter(|row| row.label == label).map(|row| row.value.as_str()).collect()
}

/// A node that counts to `last` on its first connection, one number after the other was heard of.
async fn counting(last: u32) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let mut next = 1;
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { continue };
            // What was heard is said by the plugin; what was not is said again.
            while next <= last && socket.send(Message::text(next.to_string())).await.is_ok() {
                match socket.next().await {
                    Some(Ok(Message::Text(heard))) if heard.as_str() == next.to_string() => next += 1,
                    _ => break,
                }
            }
            tokio::spawn(async move { while let Some(Ok(_)) = socket.next().await {} });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_keeps_data_keys_and_grants_and_loses_no_message() {
    let anvil = Anvil::start().await;
    let mut wallet = Wallet::new(&anvil).await;
    let url = counting(200).await;
    install(&wallet, Some(&url)).await;
    let before = show(&wallet).await;
    let account = wallet.call("updated", "open", json!({})).await.expect("an account");
    wallet.call("updated", "keep", json!({ "text": "breakfast" })).await.expect("kept");

    // Two updates in the middle of what the node says, and a call that is open meanwhile.
    for version in ["1.1.0", "1.2.0"] {
        until("it has heard something", async || (seen(&wallet).await["heard"] != json!([])).then_some(())).await;
        let folder = package(&wallet, version, &json!({ "dataVersion": 2 }), &[]);
        let (slow, done) = tokio::join!(wallet.call("updated", "slow", json!({})), update(&wallet, &folder));
        assert_eq!(done.outcome, json!({ "solution": "updated", "version": version }));
        // It was finished, or the caller knows that it was cut off or never seen.
        match slow {
            Ok(done) => assert_eq!(done, json!("slept")),
            Err(error) => assert_eq!(error.code, code::PLUGIN_STOPPED, "{error:?}"),
        }
        wallet.plugin("updated", "running").await;
        assert_eq!(wallet.call("updated", "version", json!({})).await.expect("answers"), json!(version));
    }
    let all: Vec<String> = (1..=200).map(|number| number.to_string()).collect();
    until("everything was heard", async || (seen(&wallet).await["heard"] == json!(all)).then_some(())).await;
    let heard = seen(&wallet).await;
    let told =
        json!([{ "fromVersion": "1.0.0", "fromDataVersion": 1 }, { "fromVersion": "1.1.0", "fromDataVersion": 2 }]);
    assert_eq!(heard["updates"], told, "once each, before onStart");
    assert_eq!(wallet.call("updated", "kept", json!({})).await.expect("answers"), json!("breakfast"));
    assert_eq!(wallet.call("updated", "open", json!({})).await.expect("answers"), account, "the same key");
    let after = show(&wallet).await;
    assert_eq!((after.id, &after.key_path, &after.grants), (before.id, &before.key_path, &before.grants));
    assert_eq!(after.package, "updated@1.2.0");
    assert_ne!(after.package_sha512, before.package_sha512);
    let journal = ActivityFilter { action: Some("update".into()), ..ActivityFilter::default() };
    let journal = wallet.host().activity(&USER, journal).await.expect("a journal");
    assert_eq!(journal.len(), 2);
    assert_eq!(journal[1].detail["fromSha512"], json!(before.package_sha512));

    // The next life knows nothing of an update any more.
    wallet.restart_with(IDLE_STOP).await;
    wallet.plugin("updated", "running").await;
    assert_eq!(seen(&wallet).await["updates"], told);
    assert_eq!(wallet.call("updated", "version", json!({})).await.expect("answers"), json!("1.2.0"));
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_12_an_update_is_the_same_package_shown_with_its_differences_and_never_older_by_itself() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    install(&wallet, None).await;
    let old = show(&wallet).await;

    let other = package(&wallet, "2.0.0", &json!({}), &[]);
    let manifest = std::fs::read_to_string(other.join("package.json")).expect("there");
    write(&other.join("package.json"), &manifest.replace("\"updated\"", "\"updatad\""));
    let refused = propose(&wallet, &other, true).await;
    says(refused, code::INVALID_PARAMS, "is a solution of the package updated, and this is updatad");
    let same = package(&wallet, "1.0.0", &json!({}), &[]);
    says(propose(&wallet, &same, true).await, code::INVALID_PARAMS, "has exactly this package already");
    let gateway = json!({ "contracts": { "gateway": {} } });
    let gateway = package(&wallet, "1.0.1", &gateway, &[]);
    says(propose(&wallet, &gateway, true).await, code::INVALID_PARAMS, "that is another layer 2");
    let again = package(&wallet, "1.0.0", &json!({ "description": "other" }), &[]);
    says(propose(&wallet, &again, false).await, code::INVALID_PARAMS, "is the same version as the one that is there");
    let older = package(&wallet, "0.9.0", &json!({}), &[]);
    says(propose(&wallet, &older, false).await, code::INVALID_PARAMS, "is older than the one that is there (1.0.0)");
    let broken = package(&wallet, "1.0.2", &json!({}), &[("constructor(", "constructor(x, y = nothing.at.all, ")]);
    says(propose(&wallet, &broken, false).await, code::PLUGIN_ERROR, "nothing");
    assert!(wallet.host().approvals(&USER, false).await.expect("read").is_empty(), "nobody was asked");

    let permissions = json!({
        "keys": { "curve": "secp256k1" }, "localDatabase": { "quota": "128 KiB" }, "layer1": ["read"], "memory": "32 MiB",
    });
    let changed = package(
        &wallet,
        "1.1.0",
        &json!({ "title": "Newer", "dataVersion": 2, "permissions": permissions }),
        &[("action(\"slow\")", "action(\"slow\", [[\"ms\", \"uint\"]]), action(\"burn\")"), ("action(\"kept\"), ", "")],
    );
    let proposed = propose(&wallet, &changed, false).await.expect("proposed");
    assert_eq!(proposed.kind, "update");
    assert_eq!(proposed.sentence, "Update the solution \"updated\" from updated 1.0.0 to 1.1.0?");
    assert_eq!(values(&proposed, "Version"), ["1.0.0 → 1.1.0"]);
    assert_eq!(values(&proposed, "SHA-512 until now"), [old.package_sha512.as_str()]);
    assert_eq!(values(&proposed, "Calls itself"), ["“Updated” → “Newer”"]);
    assert_eq!(values(&proposed, "Data version"), ["1 → 2"]);
    assert_eq!(values(&proposed, "May as before"), [KEYS]);
    assert_eq!(
        values(&proposed, "May"),
        ["keep up to 128 KiB of data in this wallet", "read layer 1", "use up to 32 MiB of memory"]
    );
    assert_eq!(
        values(&proposed, "May no longer"),
        ["keep up to 64 KiB of data in this wallet", "connect to this layer 2's network URL"]
    );
    assert_eq!(values(&proposed, "Other action"), ["slow() returns () → slow(uint256 ms) returns ()"]);
    assert_eq!(values(&proposed, "New action"), ["burn() — “”"]);
    assert_eq!(values(&proposed, "No action any more"), ["kept()"]);

    // Refused by the user, it changed nothing; approved in part, it has what was granted.
    wallet.reject(&proposed).await;
    assert_eq!(show(&wallet).await.package_sha512, old.package_sha512);
    let proposed = propose(&wallet, &changed, false).await.expect("proposed");
    let decision = Decision {
        id: proposed.id,
        approve: true,
        digest: proposed.digest.clone(),
        refuse: vec!["read layer 1".into()],
        accounts: Vec::new(),
    };
    wallet.host().approval_decide(&USER, decision).await.expect("decided");
    let done = wallet.host().approval_wait(&USER, proposed.id, true, DEADLINE).await.expect("there");
    assert_eq!(done.state, "done", "{:?}", done.outcome);
    wallet.plugin("updated", "running").await;
    let view = show(&wallet).await;
    let mut grants = view.grants.clone();
    grants.sort();
    assert_eq!(grants, ["keep up to 128 KiB of data in this wallet", KEYS, "use up to 32 MiB of memory"]);
    assert_eq!(view.title, "Newer");
    assert_eq!(wallet.host().plugin_inspect(&USER, "updated").await.expect("there").memory_limit, 32 << 20);

    // Data of version 2 are not given to a script that knows version 1, whatever is said.
    says(propose(&wallet, &same, true).await, code::INVALID_PARAMS, "knows them up to version 1 only");
    let back = package(&wallet, "1.0.5", &json!({ "dataVersion": 2 }), &[]);
    says(propose(&wallet, &back, false).await, code::INVALID_PARAMS, "say --allow-not-newer");
    let back = propose(&wallet, &back, true).await.expect("proposed");
    assert!(back.warnings.iter().any(|warning| warning.contains("OLDER")), "{:?}", back.warnings);
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_28_what_rests_on_a_changed_action_waits_for_the_user_and_the_rest_stays() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    install(&wallet, None).await;
    let host = wallet.host();
    for (caller, actions) in
        [("app:both", vec!["slow", "version"]), ("app:one", vec!["slow"]), ("app:none", vec!["version"])]
    {
        let grant = CallerGrantInput {
            caller: Some(caller.into()),
            solution: "updated".into(),
            actions: actions.iter().map(|&name| name.to_owned()).collect(),
            state: Vec::new(),
            expires_at: None,
        };
        host.caller_grant(&USER, grant).await.expect("granted");
        for action in actions {
            let rule: Rule = serde_json::from_value(json!({
                "actions": [action], "perCall": "1", "perWindow": "1", "windowMs": 60_000,
            }))
            .expect("a rule");
            let policy = PolicyInput { caller: caller.into(), solution: "updated".into(), rule, expires_at: None };
            host.policy_add(&USER, policy).await.expect("added");
        }
    }
    let folder =
        package(&wallet, "1.1.0", &json!({}), &[("action(\"slow\")", "action(\"slow\", [[\"ms\", \"uint\"]])")]);
    let proposed = propose(&wallet, &folder, false).await.expect("proposed");
    assert!(proposed.warnings.iter().any(|w| w.starts_with("2 of your policies")), "{:?}", proposed.warnings);
    assert_eq!(wallet.approve(&proposed).await.state, "done");
    let policies = host.policies(&USER).await.expect("read");
    for policy in policies {
        let expected = if policy.rule.actions == ["slow"] { "paused" } else { "active" };
        assert_eq!(policy.state, expected, "{policy:?}");
    }
    let mut left: Vec<_> =
        host.callers(&USER).await.expect("read").into_iter().map(|one| (one.caller, one.actions)).collect();
    left.sort();
    let version = vec!["version".to_owned()];
    assert_eq!(left, [("app:both".to_owned(), version.clone()), ("app:none".to_owned(), version)]);
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_does_not_start_changes_nothing_and_one_that_fails_later_is_reported() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    install(&wallet, None).await;
    let old = show(&wallet).await;
    // Only where it learns who the owner is: not while the wallet looks at what it declares.
    let trap = ("super_start(", "if (layer1.ownerAddress) null.dies(); super_start(");
    let folder = package(&wallet, "1.1.0", &json!({}), &[trap]);
    let proposed = propose(&wallet, &folder, false).await.expect("proposed");
    let failed = wallet.approve(&proposed).await;
    assert_eq!(failed.state, "failed");
    let words = failed.outcome["error"].as_str().expect("words");
    assert!(words.starts_with("nothing was changed, the version before goes on"), "{words}");
    assert_eq!(show(&wallet).await.package_sha512, old.package_sha512);
    assert_eq!(wallet.call("updated", "version", json!({})).await.expect("it goes on"), json!("1.0.0"));
    // One that declares otherwise there is no other case.
    let liar = ("super_start(", "if (layer1.ownerAddress) this.layer2Interface.actions.pop(); super_start(");
    let folder = package(&wallet, "1.1.1", &json!({}), &[liar]);
    let proposed = propose(&wallet, &folder, false).await.expect("proposed");
    let failed = wallet.approve(&proposed).await;
    let words = failed.outcome["error"].as_str().expect("words");
    assert!(words.contains("declares other actions or state"), "{words}");
    // Two that were proposed from the same version: the second has nothing to start from.
    let first = propose(&wallet, &package(&wallet, "1.2.0", &json!({}), &[]), false).await.expect("proposed");
    let second = propose(&wallet, &package(&wallet, "1.3.0", &json!({}), &[]), false).await.expect("proposed");
    assert_eq!(wallet.approve(&first).await.state, "done");
    let failed = wallet.approve(&second).await;
    assert_eq!(failed.state, "failed");
    assert!(failed.outcome["error"].as_str().expect("words").contains("changed or removed meanwhile"), "{failed:?}");
    assert_eq!(wallet.call("updated", "version", json!({})).await.expect("it runs"), json!("1.2.0"));
    // Its data cannot be brought up to date: that is its life's failure, and the way back is the user's decision.
    let stuck = ("async onUpdate(told) {", "async onUpdate(told) { throw new Error(\"cannot read this\");");
    update(&wallet, &package(&wallet, "1.4.0", &json!({}), &[stuck])).await;
    wallet.plugin("updated", "failed: onStart failed: cannot read this").await;
    let back = propose(&wallet, &package(&wallet, "1.2.0", &json!({}), &[]), true).await.expect("proposed");
    assert_eq!(wallet.approve(&back).await.state, "done");
    wallet.plugin("updated", "running").await;
    let told = seen(&wallet).await["updates"].clone();
    assert_eq!(
        told[1],
        json!({ "fromVersion": "1.2.0", "fromDataVersion": 1 }),
        "the one that it did not come through"
    );
    wallet.host().shutdown().await;
}
