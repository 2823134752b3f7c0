//! The user on the wallet's own page: what that actor may, and what stays on the terminal.

use crate::support::*;
use crate::{PROBE, says};
use entresol_host::Actor;
use entresol_host::error::code;
use entresol_host::messages::{CallInput, Decision, SendInput};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_page_decides_until_the_wallet_is_locked() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    wallet.install("probe", PROBE, None).await.expect("installed");
    let host = wallet.host();
    let own = SendInput {
        network: "dev".into(),
        from: 0,
        to: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8".into(),
        amount: "1".into(),
        whole: false,
        token: None,
        speed: entresol_layer1::FeeSpeed::Normal,
        request_key: None,
    };
    let proposed = host.send_own(&Actor::Page, own).await.expect("proposed");
    let decision =
        Decision { id: proposed.id, approve: true, digest: proposed.digest, refuse: Vec::new(), accounts: Vec::new() };
    host.lock(&Actor::Page).await.expect("locked");
    let refused = host.approval_decide(&Actor::Page, decision.clone()).await.expect_err("locked");
    assert_eq!((refused.code, &refused.data), (code::UNAUTHORIZED, &json!({ "needs": "unlock" })));
    let call = CallInput { solution: "probe".into(), action: "probe".into(), params: Default::default(), id: None };
    says(host.call(&Actor::Page, call).await, code::UNAUTHORIZED, "unlock");
    says(host.unlock(&Actor::Page, &"wrong".into()).await, code::UNAUTHORIZED, "passphrase");
    host.unlock(&Actor::Page, &PASSPHRASE.into()).await.expect("unlocked");
    let decided = host.approval_decide(&Actor::Page, decision).await.expect("decided");
    assert_eq!(decided.decided_by.as_deref(), Some("page"));
    let done = host.approval_wait(&Actor::Page, proposed.id, true, DEADLINE).await.expect("there");
    assert_eq!(done.state, "done", "{:?}", done.outcome);
    // Keys and backups are the terminal's, also with the right passphrase.
    let passphrase = PASSPHRASE.into();
    says(host.account_export(&Actor::Page, 0, &passphrase).await.map(drop), code::UNAUTHORIZED, "terminal");
    says(host.account_import(&Actor::Page, &"0x01".into(), &passphrase).await, code::UNAUTHORIZED, "terminal");
    says(host.passphrase_change(&Actor::Page, &passphrase, &"x".into()).await, code::UNAUTHORIZED, "terminal");
    let file = wallet.home.path().join("backup");
    says(host.backup(&Actor::Page, &file, &passphrase).await, code::UNAUTHORIZED, "terminal");
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_04_guesses_on_the_page_and_on_the_terminal_slow_each_other_down() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    let host = wallet.host();
    for actor in [Actor::Page, USER, Actor::Page] {
        says(host.unlock(&actor, &"wrong".into()).await, code::UNAUTHORIZED, "passphrase");
    }
    for actor in [Actor::Page, USER] {
        let slowed = host.unlock(&actor, &PASSPHRASE.into()).await.expect_err("slowed down");
        assert_eq!(slowed.code, code::LIMIT, "{slowed}");
        assert!(slowed.data["retryAfterMs"].as_u64().is_some_and(|wait| wait <= 1000), "{slowed:?}");
    }
    // Nobody else gets to guess at all.
    says(host.unlock(&Actor::Plugin { solution: 1 }, &PASSPHRASE.into()).await, code::UNAUTHORIZED, "not for");
    host.shutdown().await;
}
