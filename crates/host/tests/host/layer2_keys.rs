//! Layer-2 keys: derived, used, exported, and what the locked seed does to them.

use crate::probe::{Package, app_contract, everything};
use crate::says;
use crate::support::*;
use alloy::primitives::{Address, Signature, eip191_hash_message};
use entresol_host::error::code;
use entresol_host::messages::CallInput;
use entresol_host::{Caller, HostError};
use k256::ecdsa::SigningKey;
use serde_json::{Value as Json, json};

fn address_of(private_key: &str) -> Address {
    let bytes = hex::decode(private_key.trim_start_matches("0x")).expect("hex");
    let key = SigningKey::from_slice(&bytes).expect("a key");
    let point = key.verifying_key().to_encoded_point(false);
    Address::from_raw_public_key(&point.as_bytes()[1..])
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_derived_signed_with_and_exported_by_permission_only() {
    let anvil = Anvil::start().await;
    let mut wallet = Wallet::new(&anvil).await;
    let mut permissions = everything();
    permissions["keys"]["export"] = json!(true);
    let package = Package { permissions, ..Package::default() };
    let proposed = wallet.propose_probe("open", &package, None).await.expect("proposed");
    let warnings = proposed.warnings.join("\n");
    assert!(warnings.contains("hold the private keys") && warnings.contains("network as well"), "{warnings}");
    wallet.approve(&proposed).await;
    let shut = wallet.propose_probe("shut", &Package::default(), None).await.expect("proposed");
    assert!(!shut.warnings.join("\n").contains("private keys"), "{:?}", shut.warnings);
    wallet.approve(&shut).await;
    for name in ["open", "shut"] {
        wallet.plugin(name, "running").await;
    }
    let first = wallet.ask("open", "wallet.getAccount", json!([])).await.expect("an account");
    let fifth = wallet.ask("open", "wallet.getAccount", json!([5])).await.expect("an account");
    let next = wallet.ask("open", "wallet.getAccount", json!([])).await.expect("an account");
    assert_eq!((&first["index"], &fifth["index"], &next["index"]), (&json!(0), &json!(5), &json!(1)));
    let all = wallet.ask("open", "wallet.getAccounts", json!([])).await.expect("accounts");
    assert_eq!(all, json!([first, next, fifth]));
    for bad in [json!([-1]), json!([2147483648u32]), json!(["x"]), json!([1.5])] {
        says(wallet.ask("open", "wallet.getAccount", bad).await, code::INVALID_PARAMS, "2^31");
    }

    let signed =
        wallet.ask("open", "wallet.signWithAccount", json!([5, { "message": "hello" }])).await.expect("signed");
    let signature: Signature = signed["signature"].as_str().expect("hex").parse().expect("a signature");
    let signer = signature.recover_address_from_prehash(&eip191_hash_message("hello")).expect("recovers");
    assert_eq!(signer.to_checksum(None), fifth["address"]);
    for (args, words) in [
        (json!([7, { "message": "hello" }]), "never asked for"),
        (json!([5, {}]), "takes"),
        (json!([5, { "hash": "0x12" }]), "32 bytes"),
        (json!([5, { "typedData": { "types": 1 } }]), "typedData"),
    ] {
        says(wallet.ask("open", "wallet.signWithAccount", args).await, code::INVALID_PARAMS, words);
    }

    let key = wallet.ask("open", "wallet.exportPrivateKey", json!([5])).await.expect("exported");
    assert_eq!(address_of(key.as_str().expect("hex")).to_checksum(None), fifth["address"]);
    says(wallet.ask("open", "wallet.exportPrivateKey", json!([7])).await, code::INVALID_PARAMS, "never asked for");
    let secret =
        async |wallet: &Wallet, name: &str, label: &str| wallet.ask(name, "wallet.getSecret", json!([label])).await;
    let one = secret(&wallet, "open", "a").await.expect("derived");
    assert_eq!(one["$b"].as_array().map(Vec::len), Some(32));
    assert_ne!(one, secret(&wallet, "open", "b").await.expect("derived"));
    says(secret(&wallet, "open", "").await, code::INVALID_PARAMS, "label");
    says(secret(&wallet, "open", &"x".repeat(257)).await, code::INVALID_PARAMS, "label");
    wallet.ask("shut", "wallet.getAccount", json!([0])).await.expect("an account");
    says(secret(&wallet, "shut", "a").await, code::UNAUTHORIZED, "not granted");
    says(wallet.ask("shut", "wallet.exportPrivateKey", json!([0])).await, code::UNAUTHORIZED, "not granted");

    // The journal knows that, and never what.
    let journal = wallet.host().activity(&USER, crate::about("open")).await.expect("a journal");
    for action in ["export private key", "get secret", "sign with account"] {
        assert!(journal.iter().any(|row| row.action == action), "{action}");
    }
    let told = serde_json::to_string(&journal).expect("JSON");
    let plain = key.as_str().expect("hex").trim_start_matches("0x");
    assert!(!told.contains(plain), "a private key in the journal");
    wallet.restart().await;
    wallet.plugin("open", "running").await;
    assert_eq!(secret(&wallet, "open", "a").await.expect("derived"), one, "the same for ever");
    // Taken back, it is gone at once.
    let grants = wallet.host().grants(&USER, "open").await.expect("grants");
    let keys = grants.iter().find(|grant| grant.contains("PRIVATE KEYS")).expect("granted").clone();
    wallet.host().grant_revoke(&USER, "open", &keys).await.expect("revoked");
    says(secret(&wallet, "open", "a").await, code::UNAUTHORIZED, "not granted");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_24_keys_and_secrets_of_two_gateways_are_never_the_same() {
    let anvil = Anvil::start().await;
    let (one, two) = (anvil.deploy_test("App").await, anvil.deploy_test("App").await);
    let wallet = Wallet::new(&anvil).await;
    let mut permissions = everything();
    permissions["keys"]["export"] = json!(true);
    let package = Package { permissions, contracts: json!({ "gateway": app_contract() }), ..Package::default() };
    wallet.probe("one", &package, Some(one)).await;
    wallet.probe("two", &package, Some(two)).await;
    let mut seen = Vec::new();
    for name in ["one", "two"] {
        seen.push(wallet.ask(name, "wallet.getAccount", json!([0])).await.expect("an account")["address"].clone());
        seen.push(wallet.ask(name, "wallet.getSecret", json!(["label"])).await.expect("derived"));
    }
    assert!(seen[0] != seen[2] && seen[1] != seen[3], "{seen:?}");
    // The owner signs for this chain and this gateway only: what one gets is worth nothing to the other.
    let typed = |chain: u64, contract: Address| {
        json!([{ "typedData": {
            "types": { "EIP712Domain": [{ "name": "chainId", "type": "uint256" }, { "name": "verifyingContract", "type": "address" }],
                       "Vote": [{ "name": "value", "type": "uint256" }] },
            "primaryType": "Vote", "domain": { "chainId": chain, "verifyingContract": contract }, "message": { "value": "1" } } }])
    };
    for (chain, contract) in [(31337, two), (1, one)] {
        says(wallet.ask("one", "wallet.sign", typed(chain, contract)).await, code::UNAUTHORIZED, "own chainId");
    }
    let (request, answer) = wallet.ask_approved("one", "wallet.sign", typed(31337, one)).await;
    assert_eq!(request.kind, "sign");
    answer.expect("signed");
    wallet.host().shutdown().await;
}

async fn shop(wallet: &Wallet, action: &str, method: &str, args: Json) -> Result<Json, HostError> {
    let params = json!({ "method": method, "args": args.to_string() });
    let input = CallInput {
        solution: "probe".into(),
        action: action.into(),
        params: params.as_object().cloned().unwrap_or_default(),
        id: None,
    };
    wallet.host().call_as(&Caller::App { name: "shop".into() }, input, Vec::new()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_seed_is_locked_hooks_work_on_kept_keys_and_callers_get_4100() {
    let anvil = Anvil::start().await;
    let app = anvil.deploy_test("App").await;
    let wallet = Wallet::new(&anvil).await;
    let mut permissions = everything();
    permissions["keys"]["export"] = json!(true);
    let package = Package { permissions, contracts: json!({ "gateway": app_contract() }), ..Package::default() };
    wallet.probe("probe", &package, Some(app)).await;
    wallet.grant_shop("probe", &["hold", "look"]).await;
    let account = wallet.ask("probe", "wallet.getAccount", json!([0])).await.expect("an account");
    let sign = json!([0, { "message": "hello" }]);
    let requests = json!([
        ["wallet.signWithAccount", sign],
        ["wallet.getAccount", [0]],
        ["wallet.getAccount", []],
        ["wallet.exportPrivateKey", [0]],
        ["wallet.getSecret", ["a"]],
        ["wallet.persist", ["k", 1]],
    ]);
    wallet.ask("probe", "wallet.persist", json!(["hook:onSchedule", { "requests": requests }])).await.expect("kept");
    let hook = async |wallet: &Wallet| {
        wallet.ask("probe", "wallet.persist", json!(["did:onSchedule", null])).await.expect("cleared");
        wallet.ask("probe", "wallet.schedule", json!([{ "name": "now", "after": 0 }])).await.expect("scheduled");
        until("the hook did its work", async || {
            let did = wallet.ask("probe", "wallet.getFromLocalDb", json!(["did:onSchedule"])).await.expect("read");
            (!did.is_null()).then_some(did)
        })
        .await
    };

    // A caller's call is open when the seed is locked: from then on it causes nothing.
    let path = wallet.host().solution(&USER, "probe").await.expect("there").key_path;
    let held = async {
        let (signing, exporting) = tokio::join!(
            shop(&wallet, "look", "wallet.signWithAccount", sign.clone()),
            shop(&wallet, "look", "wallet.exportPrivateKey", json!([0])),
        );
        says(signing, code::UNAUTHORIZED, "locked");
        says(exporting, code::UNAUTHORIZED, "locked");
    };
    let lock = async {
        until("both calls are open", async || {
            (wallet.call("probe", "holding", json!({})).await.expect("counted") == json!("2")).then_some(())
        })
        .await;
        wallet.vault.lock_seed(&[path.parse().expect("a path")]).expect("locked");
        wallet.call("probe", "release", json!({})).await.expect("released");
    };
    tokio::join!(held, lock);
    says(shop(&wallet, "look", "wallet.getAccounts", json!([])).await, code::UNAUTHORIZED, "locked");

    // Kept open: hooks sign; new accounts and exports wait for the seed.
    let did = hook(&wallet).await;
    assert!(did[0]["ok"]["signature"].is_string(), "{did}");
    assert_eq!(did[1]["ok"]["address"], account["address"], "{did}");
    for position in [2, 3, 4] {
        assert_eq!(did[position]["code"], json!(code::UNAUTHORIZED), "{did}");
        assert!(did[position]["error"].as_str().is_some_and(|words| words.contains("unlock")), "{did}");
    }
    assert_eq!(did[5]["ok"], Json::Null, "{did}");

    // Closed as well: 4100 with what to do.
    wallet.vault.lock();
    let did = hook(&wallet).await;
    for position in [0, 1, 2, 3, 4] {
        assert_eq!(did[position]["code"], json!(code::UNAUTHORIZED), "{did}");
        assert!(did[position]["error"].as_str().is_some_and(|words| words.contains("entresol unlock")), "{did}");
    }
    wallet.host().unlock(&USER, &PASSPHRASE.into()).await.expect("unlocked");
    let did = hook(&wallet).await;
    assert!(did[4]["ok"]["$b"].is_array() && did[3]["ok"].is_string(), "{did}");
    wallet.host().shutdown().await;
}
