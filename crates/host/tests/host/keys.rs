//! The user's keys: imports, exports, the passphrase, the two locks, backup and restore.

use crate::support::*;
use entresol_host::Host;
use entresol_host::error::code;
use entresol_host::messages::{CallInput, Settings};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value as Json, json};

/// Key 1 of the curve: its address is known to everybody.
const KEY_ONE: &str = "0x0000000000000000000000000000000000000000000000000000000000000001";
const ADDRESS_ONE: &str = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf";

/// Keeps values and remembers what `onStart` was told.
const KEEPER: &str = r#"
export default class Keeper {
  constructor({ wallet }) {
    const text = (name) => ({ name, type: "string" });
    this.layer2Interface = { actions: [
      { name: "put", call: ({ key, value }) => wallet.persist(key, value), params: [text("key"), text("value")] },
      { name: "get", call: ({ key }) => wallet.getFromLocalDb(key), params: [text("key")] },
      { name: "wasRestored", call: () => this.restored, returns: [{ name: "restored", type: "bool" }] } ] };
  }
  onStart({ restored }) { this.restored = restored; }
}"#;

async fn ask(host: &Host, action: &str, params: Json) -> Json {
    let params = params.as_object().cloned().unwrap_or_default();
    let input = CallInput { solution: "keeper".into(), action: action.into(), params, id: None };
    until("the plugin answers", async || host.call(&USER, input.clone()).await.ok()).await
}

fn passphrase() -> SecretString {
    PASSPHRASE.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_comes_in_and_goes_out_and_survives_a_restart() {
    let anvil = Anvil::start().await;
    let mut wallet = Wallet::new(&anvil).await;
    let key = SecretString::from(KEY_ONE);
    let wrong = wallet.host().account_import(&USER, &key, &"wrong".into()).await.expect_err("refused");
    assert_eq!(wrong.code, code::UNAUTHORIZED, "{wrong}");
    let account = wallet.host().account_import(&USER, &key, &passphrase()).await.expect("imported");
    assert_eq!((account.address.as_str(), account.imported), (ADDRESS_ONE, true));
    wallet.host().account_import(&USER, &key, &passphrase()).await.expect_err("it is there already");
    wallet.restart().await;
    let accounts = wallet.host().accounts(&USER).await.expect("accounts");
    assert_eq!(accounts.iter().map(|a| a.imported).collect::<Vec<_>>(), [false, true]);
    assert_eq!(accounts[1].address, ADDRESS_ONE);
    let exported = wallet.host().account_export(&USER, account.index, &passphrase()).await.expect("exported");
    assert_eq!(exported.expose_secret(), KEY_ONE);
    wallet.host().account_export(&USER, account.index, &"wrong".into()).await.expect_err("refused");
    wallet.host().account_export(&USER, 7, &passphrase()).await.expect_err("there is no account 7");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_passphrase_opens_the_same_wallet() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    let new = SecretString::from("a much better passphrase");
    wallet.host().passphrase_change(&USER, &"wrong".into(), &new).await.expect_err("refused");
    wallet.host().passphrase_change(&USER, &passphrase(), &new).await.expect("changed");
    wallet.host().verify_passphrase(&USER, &passphrase()).await.expect_err("the old one is wrong now");
    wallet.host().lock(&USER).await.expect("locked");
    wallet.host().unlock(&USER, &passphrase()).await.expect_err("the old one is wrong now");
    wallet.host().unlock(&USER, &new).await.expect("unlocked");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seed_locks_by_itself() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    let settings = Settings { auto_lock_seconds: 1, layer2_while_locked: false };
    wallet.host().settings_set(&USER, settings.clone()).await.expect("set");
    assert_eq!(wallet.host().settings(&USER).await.expect("settings"), settings);
    until("the seed is locked", async || wallet.host().status(&USER).await.expect("a status").locked.then_some(()))
        .await;
    // Addresses and balances are no secret.
    assert_eq!(wallet.host().accounts(&USER).await.expect("accounts").len(), 1);
    wallet.host().unlock(&USER, &passphrase()).await.expect("unlocked");
    let long = Settings { auto_lock_seconds: 8 * 24 * 3600, layer2_while_locked: false };
    wallet.host().settings_set(&USER, long).await.expect_err("longer than a week");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_restores_everything_and_row_31_marks_it_as_restored() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    wallet.install("keeper", KEEPER, None).await.expect("installed");
    ask(wallet.host(), "put", json!({ "key": "kept", "value": "before" })).await;
    wallet.host().account_import(&USER, &KEY_ONE.into(), &passphrase()).await.expect("imported");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wallet.backup");
    wallet.host().backup(&USER, &file, &"wrong".into()).await.expect_err("refused");
    assert!(!file.exists());
    let bytes = wallet.host().backup(&USER, &file, &passphrase()).await.expect("written");
    assert_eq!(bytes, std::fs::metadata(&file).expect("there").len());
    wallet.host().backup(&USER, &file, &passphrase()).await.expect_err("never overwritten");
    ask(wallet.host(), "put", json!({ "key": "kept", "value": "after" })).await;
    wallet.host().shutdown().await;
    drop(wallet);

    let home = folder.path().join("home");
    entresol_host::restore(&home, &file, &"wrong".into()).expect_err("refused");
    assert!(!home.exists(), "nothing is left of a failed restore");
    assert_eq!(entresol_host::restore(&home, &file, &passphrase()).expect("restored"), 1);
    entresol_host::restore(&home, &file, &passphrase()).expect_err("a home in use is never overwritten");
    let (host, _) = start(&home, entresol_host::IDLE_STOP).await;
    assert_eq!(ask(&host, "get", json!({ "key": "kept" })).await, json!("before"));
    assert_eq!(host.accounts(&USER).await.expect("accounts")[1].address, ADDRESS_ONE);
    assert_eq!(ask(&host, "wasRestored", json!({})).await, json!(true), "the plugin is told that its data may be old");
    host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::disallowed_methods, reason = "the test puts an old database back, as a user might")]
async fn row_31_an_older_database_put_back_by_hand_is_noticed() {
    let anvil = Anvil::start().await;
    let mut wallet = Wallet::new(&anvil).await;
    wallet.install("keeper", KEEPER, None).await.expect("installed");
    let database = wallet.home.path().join("wallet.db");
    wallet.restart().await;
    assert_eq!(ask(wallet.host(), "wasRestored", json!({})).await, json!(false), "an ordinary restart is no restore");
    wallet.stop().await;
    let old = std::fs::read(&database).expect("the database");
    wallet.restart().await;
    wallet.stop().await;
    std::fs::write(&database, old).expect("put back");
    wallet.restart().await;
    assert_eq!(ask(wallet.host(), "wasRestored", json!({})).await, json!(true), "older than the last start");
    wallet.host().shutdown().await;
}
