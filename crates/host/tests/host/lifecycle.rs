//! Lives of a plugin: it sleeps, wakes, dies, is restarted and recorded; what it was told of is not lost.

use crate::says;
use crate::support::*;
use entresol_host::RECORDINGS;
use entresol_host::error::code;
use entresol_host::messages::{ActivityFilter, PluginView};
use entresol_sandbox::Engine;
use entresol_sandbox::record::{Outcome, Recording};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value as Json, json};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

const SCRIPT: &str = include_str!("lives.js");
/// So short that a plugin sleeps many times within a test.
const SOON: Duration = Duration::from_millis(50);

/// A package that nothing outside reaches, or one with a node.
async fn install(wallet: &Wallet, name: &str, node: Option<&str>) {
    let folder = wallet.home.path().join(format!("source-{name}"));
    write_package(&folder, SCRIPT, false);
    let mut permissions = json!({ "localDatabase": { "quota": "64 KiB" }, "memory": "32 MiB" });
    if node.is_some() {
        permissions["network"] = json!(["$networkUrl"]);
    }
    let manifest = json!({
        "name": "lives", "version": "1.0.0", "type": "module", "main": "index.js",
        "layer2": { "apiVersion": 1, "title": "Lives", "permissions": permissions },
    });
    write(&folder.join("package.json"), &manifest.to_string());
    let mut wanted = input(name, &folder, None);
    wanted.network_urls = node.into_iter().map(Into::into).collect();
    let proposed = wallet.host().solution_add(&USER, wanted).await.expect("proposed");
    let done = wallet.approve(&proposed).await;
    assert_eq!(done.state, "done", "{:?}", done.outcome);
    wallet.plugin(name, "running").await;
}

async fn inspect(wallet: &Wallet, name: &str) -> PluginView {
    wallet.host().plugin_inspect(&USER, name).await.expect("it is there")
}

async fn seen(wallet: &Wallet, name: &str) -> Vec<String> {
    let text = wallet.call(name, "seen", json!({})).await.unwrap_or_else(|_| json!("[]"));
    serde_json::from_str(text.as_str().expect("a text")).expect("a list")
}

/// A node that says these things on its first connection, these on its second, and so on.
async fn node(says: Vec<Vec<&'static str>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let mut says = says.into_iter();
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { continue };
            let texts = says.next().unwrap_or_default();
            tokio::spawn(async move {
                for text in texts {
                    if socket.send(Message::text(text)).await.is_err() {
                        return;
                    }
                }
                while let Some(Ok(_)) = socket.next().await {}
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_starts_when_it_is_asked_and_sleeps_when_nothing_can_happen_in_it() {
    let anvil = Anvil::start().await;
    let mut wallet = Wallet::new(&anvil).await;
    install(&wallet, "sleeper", None).await;
    install(&wallet, "holder", None).await;
    wallet.restart_with(SOON).await;
    let before = inspect(&wallet, "sleeper").await;
    assert_eq!((before.status.as_str(), before.starts, before.memory_bytes), ("asleep", 0, 0), "not started yet");
    assert!(!before.background);

    // A timer that waits keeps one of them awake.
    assert_eq!(wallet.call("holder", "hold", json!({})).await.expect("answers"), json!("held"));
    for life in 1..=3 {
        assert_eq!(wallet.call("sleeper", "count", json!({})).await.expect("answers"), json!("1"), "a life of its own");
        wallet.plugin("sleeper", "asleep").await;
        let view = inspect(&wallet, "sleeper").await;
        assert_eq!((view.starts, view.slept, view.ended, view.memory_bytes), (life, life, 0, 0));
    }
    let holder = inspect(&wallet, "holder").await;
    assert_eq!((holder.status.as_str(), holder.starts, holder.slept), ("running", 1, 0));
    assert!(holder.memory_bytes > 1 << 20 && holder.timers == 1, "{holder:?}");

    // A wake-up wakes it, without anybody asking.
    wallet.call("sleeper", "wakeIn", json!({ "ms": "300" })).await.expect("scheduled");
    wallet.plugin("sleeper", "asleep").await;
    until("the wake-up came", async || (seen(&wallet, "sleeper").await == ["woken"]).then_some(())).await;
    let view = inspect(&wallet, "sleeper").await;
    assert!(view.errors.is_empty() && view.hooks == 1, "{view:?}");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_with_a_node_starts_with_the_wallet_and_stays() {
    let anvil = Anvil::start().await;
    let mut wallet = Wallet::new(&anvil).await;
    let url = node(vec![vec![], vec!["hello"]]).await;
    install(&wallet, "lives", Some(&url)).await;
    install(&wallet, "sleeper", None).await;
    wallet.restart_with(SOON).await;
    wallet.plugin("lives", "running").await;
    // Long enough for the other one to sleep three times.
    for _ in 0..3 {
        wallet.call("sleeper", "count", json!({})).await.expect("answers");
        wallet.plugin("sleeper", "asleep").await;
    }
    let view = inspect(&wallet, "lives").await;
    assert_eq!((view.background, view.starts, view.slept, view.connections), (true, 1, 0, 1), "{view:?}");
    until("it has heard", async || (seen(&wallet, "lives").await == ["hello"]).then_some(())).await;
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_20_what_a_plugin_was_told_when_it_died_is_told_to_its_next_life_first() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    let url = node(vec![vec!["1", "2", "once 3"], vec!["4", "once 5"], vec!["6", "7"]]).await;
    install(&wallet, "lives", Some(&url)).await;
    let all = ["1", "2", "once 3", "4", "once 5", "6", "7"];
    until("everything was seen", async || {
        let seen = seen(&wallet, "lives").await;
        assert!(all.starts_with(&seen.iter().map(String::as_str).collect::<Vec<_>>()), "in order: {seen:?}");
        (seen == all).then_some(())
    })
    .await;
    let view = inspect(&wallet, "lives").await;
    assert!(view.hooks_again >= 2, "{view:?}");
    assert_eq!((view.starts, view.ended), (3, 2), "{view:?}");
    assert!(view.errors.iter().all(|error| error.kind == "ended"), "{view:?}");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_ends_one_life_after_the_other_is_given_up_and_reported() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    let url = node(vec![vec!["poison"], vec!["after"]]).await;
    install(&wallet, "lives", Some(&url)).await;
    until("what came after it was seen", async || (seen(&wallet, "lives").await == ["after"]).then_some(())).await;
    let view = inspect(&wallet, "lives").await;
    assert!(view.ended == 3 && view.hooks_again >= 2, "{view:?}");
    let given_up: Vec<_> = view.errors.iter().filter(|error| error.kind == "given up").collect();
    assert!(matches!(&given_up[..], [one] if one.message.contains("onNetworkMessage ended the plugin 3 times")));
    let stopped = ActivityFilter { action: Some("plugin stopped".into()), ..ActivityFilter::default() };
    assert_eq!(wallet.host().activity(&USER, stopped).await.expect("a journal").len(), 3);
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_by_hand_hands_over_what_was_not_finished() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    let url = node(vec![vec!["1", "slow 2"], vec!["3"]]).await;
    install(&wallet, "lives", Some(&url)).await;
    until("the slow one is open", async || (inspect(&wallet, "lives").await.hooks >= 2).then_some(())).await;
    wallet.host().solution_restart(&USER, "lives").await.expect("restarted");
    until("everything was seen", async || (seen(&wallet, "lives").await == ["1", "slow 2", "3"]).then_some(())).await;
    let view = inspect(&wallet, "lives").await;
    assert_eq!((view.starts, view.ended), (1, 0), "another actor, and nobody's fault: {view:?}");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inspect_shows_what_a_plugin_uses_and_its_last_errors() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    install(&wallet, "lives", None).await;
    for _ in 0..5 {
        wallet.call("lives", "count", json!({})).await.expect("answers");
    }
    says(wallet.call("lives", "fail", json!({})).await, code::PLUGIN_ERROR, "no such luck");
    until("the other error is there", async || (inspect(&wallet, "lives").await.errors.len() == 2).then_some(())).await;
    let view = inspect(&wallet, "lives").await;
    assert_eq!((view.calls, view.threw, view.starts, view.open), (6, 1, 1, 0), "{view:?}");
    assert_eq!(view.memory_limit, 32 << 20);
    assert!((1 << 20..view.memory_limit).contains(&view.memory_bytes), "{view:?}");
    assert!(view.cpu_micros > 0 && view.cpu_micros >= view.longest_turn_micros && view.turns > 6, "{view:?}");
    let [threw, uncaught] = &view.errors[..] else { panic!("{view:?}") };
    assert_eq!((threw.kind.as_str(), uncaught.kind.as_str()), ("threw", "uncaught"));
    assert!(threw.message.contains("no such luck") && threw.stack.contains("index.js:"), "{threw:?}");
    assert!(uncaught.message.contains("nobody caught this") && uncaught.stack.contains("index.js:"), "{uncaught:?}");
    // A life that ends badly is counted; the list of errors has an end.
    for _ in 0..25 {
        says(wallet.call("lives", "fail", json!({})).await, code::PLUGIN_ERROR, "no such luck");
    }
    says(wallet.call("lives", "die", json!({})).await, code::PLUGIN_STOPPED, "too many messages");
    wallet.plugin("lives", "running").await;
    let view = inspect(&wallet, "lives").await;
    assert_eq!((view.starts, view.ended, view.errors.len()), (2, 1, 20), "{view:?}");
    assert_eq!(view.errors[19].kind, "ended");
    says(wallet.host().plugin_inspect(&USER, "nobody").await, code::NOT_FOUND, "there is no solution");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_plugin_replays_to_the_byte_and_the_file_is_the_users_alone() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    install(&wallet, "lives", None).await;
    says(wallet.host().plugin_record_stop(&USER, "lives").await, code::INVALID_PARAMS, "is not being recorded");
    wallet.call("lives", "count", json!({})).await.expect("answers");
    let begun = wallet.host().plugin_record(&USER, "lives").await.expect("begun");
    says(wallet.host().plugin_record(&USER, "lives").await, code::INVALID_PARAMS, "is being recorded already");
    assert_eq!(wallet.call("lives", "count", json!({})).await.expect("answers"), json!("1"), "a life from its start");
    says(wallet.call("lives", "fail", json!({})).await, code::PLUGIN_ERROR, "no such luck");
    wallet.call("lives", "wakeIn", json!({ "ms": "1" })).await.expect("scheduled");
    until("the wake-up came", async || (seen(&wallet, "lives").await == ["woken"]).then_some(())).await;
    let ended = wallet.host().plugin_record_stop(&USER, "lives").await.expect("ended");
    assert_eq!((ended.file.as_str(), ended.running, begun.running), (begun.file.as_str(), false, true));
    assert_eq!(wallet.call("lives", "count", json!({})).await.expect("answers"), json!("2"), "it goes on");

    let path = std::path::Path::new(&ended.file);
    assert_eq!(path.parent(), Some(wallet.home.path().join(RECORDINGS).as_path()));
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(path), mode(path.parent().expect("a directory"))), (0o600, 0o700));
    let recording = Recording::read(&std::fs::read(path).expect("readable")).expect("a recording");
    let note: Json = serde_json::from_str(&recording.header.note).expect("JSON");
    assert_eq!((note["solution"].as_str(), note["package"].as_str()), (Some("lives"), Some("lives@1.0.0")));
    assert_eq!(recording.header.scripts.last().expect("the script").source, SCRIPT);
    let cache = entresol_package::default_cache_dir().expect("a cache directory").join("engine");
    let engine = Engine::new(Some(&cache)).expect("the engine");
    let replayed = recording.replay(&engine).expect("the same run");
    assert!(replayed.turns > 6 && replayed.memory.is_some(), "{replayed:?}");

    // One that dies while it is recorded leaves a whole recording of how it died; its next life is not recorded.
    let begun = wallet.host().plugin_record(&USER, "lives").await.expect("begun");
    says(wallet.call("lives", "die", json!({})).await, code::PLUGIN_STOPPED, "too many messages");
    wallet.plugin("lives", "running").await;
    assert_eq!(inspect(&wallet, "lives").await.recording, None);
    let recording = Recording::read(&std::fs::read(&begun.file).expect("readable")).expect("a recording");
    let died = recording.replay(&engine).expect("dies again");
    assert!(matches!(&died.ended, Outcome::Ended(why) if why.contains("too many messages")), "{died:?}");
    wallet.host().shutdown().await;
}
