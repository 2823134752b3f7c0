//! Wake-ups: by time and by block, over restarts, at least once.

use crate::probe::Package;
use crate::says;
use crate::support::*;
use entresol_host::error::code;
use serde_json::{Value as Json, json};

async fn seen(wallet: &Wallet) -> Vec<String> {
    let seen = wallet.ask("probe", "wallet.getFromLocalDb", json!(["seen:onSchedule"])).await.expect("read");
    let jobs = seen.as_array().into_iter().flatten();
    jobs.map(|job| job["name"].as_str().expect("a name").to_owned()).collect()
}

async fn until_seen(wallet: &Wallet, names: &[&str]) {
    until("the jobs have fired", async || (seen(wallet).await == names).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_fire_at_their_time_and_block_and_survive_restarts() {
    let anvil = Anvil::start().await;
    let mut wallet = Wallet::new(&anvil).await;
    wallet.probe("probe", &Package::default(), None).await;
    let schedule = async |wallet: &Wallet, job: Json| wallet.ask("probe", "wallet.schedule", json!([job])).await;
    let head = wallet.host().networks(&USER).await.expect("networks")[0].head.expect("a head");

    let data = json!({ "amount": { "$n": "12345678901234567890" } });
    schedule(&wallet, json!({ "name": "soon", "after": 30, "data": data })).await.expect("scheduled");
    until_seen(&wallet, &["soon"]).await;
    let told = wallet.ask("probe", "wallet.getFromLocalDb", json!(["seen:onSchedule"])).await.expect("read");
    assert_eq!(told[0]["data"], data);

    // By block; the same name replaces; what is cancelled never fires.
    schedule(&wallet, json!({ "name": "block", "block": head + 1_000_000 })).await.expect("scheduled");
    let job = schedule(&wallet, json!({ "name": "block", "block": head + 5 })).await.expect("scheduled");
    assert_eq!(job["block"], json!(head + 5));
    schedule(&wallet, json!({ "name": "gone", "block": head + 4 })).await.expect("scheduled");
    assert_eq!(wallet.ask("probe", "wallet.cancel", json!(["gone"])).await.expect("cancelled"), json!(true));
    assert_eq!(wallet.ask("probe", "wallet.cancel", json!(["gone"])).await.expect("answers"), json!(false));
    anvil.mine(4).await;
    until("the wallet sees the blocks", async || {
        let seen = wallet.host().networks(&USER).await.expect("networks")[0].head;
        (seen >= Some(head + 4)).then_some(())
    })
    .await;
    assert_eq!(seen(&wallet).await, ["soon"], "a block too early");
    anvil.mine(1).await;
    until_seen(&wallet, &["soon", "block"]).await;

    // The wallet is stopped when the time comes: it fires at the next start, once.
    let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_millis() + 1500;
    schedule(&wallet, json!({ "name": "late", "at": u64::try_from(at).expect("fits") })).await.expect("scheduled");
    schedule(&wallet, json!({ "name": "later block", "block": head + 7 })).await.expect("scheduled");
    wallet.host().shutdown().await;
    anvil.mine(2).await;
    until("the time is over", async || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_millis();
        (now > at).then_some(())
    })
    .await;
    wallet.restart().await;
    until("both have fired", async || {
        let names = seen(&wallet).await;
        (names.contains(&"late".into()) && names.contains(&"later block".into())).then_some(())
    })
    .await;
    wallet.restart().await;
    wallet.plugin("probe", "running").await;
    schedule(&wallet, json!({ "name": "last", "after": 0 })).await.expect("scheduled");
    until("the last has fired", async || seen(&wallet).await.contains(&"last".into()).then_some(())).await;
    assert_eq!(seen(&wallet).await.len(), 5, "each once: {:?}", seen(&wallet).await);
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_hook_fails_or_dies_is_fired_again_and_the_list_is_bounded() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    wallet.probe("probe", &Package::default(), None).await;
    // Twice it throws; the third time its promise resolves. Meanwhile it asks for a job of the same name.
    let again = json!(["wallet.schedule", [{ "name": "stubborn", "at": 9_007_199_254_740_000_u64 }]]);
    let program = json!({ "fail": 2, "requests": [again] });
    wallet.ask("probe", "wallet.persist", json!(["hook:onSchedule", program])).await.expect("kept");
    wallet.ask("probe", "wallet.schedule", json!([{ "name": "stubborn", "after": 0 }])).await.expect("scheduled");
    until_seen(&wallet, &["stubborn", "stubborn", "stubborn"]).await;
    until("the new one stays", async || {
        let did = wallet.ask("probe", "wallet.getFromLocalDb", json!(["did:onSchedule"])).await.expect("read");
        (did[0]["ok"]["name"] == "stubborn").then_some(())
    })
    .await;
    // The one that was asked for inside the hook is another job: it was not deleted with the first.
    for number in 0..63 {
        let job = json!([{ "name": format!("job {number}"), "at": 9_007_199_254_740_000_u64 }]);
        wallet.ask("probe", "wallet.schedule", job).await.expect("scheduled");
    }
    let more = json!([{ "name": "one more", "at": 9_007_199_254_740_000_u64 }]);
    says(wallet.ask("probe", "wallet.schedule", more).await, code::LIMIT, "64 jobs");
    let same = json!([{ "name": "job 5", "at": 9_007_199_254_740_001_u64 }]);
    wallet.ask("probe", "wallet.schedule", same).await.expect("the same name replaces");
    assert_eq!(
        wallet.ask("probe", "wallet.cancel", json!([{ "name": "stubborn" }])).await.expect("there"),
        json!(true)
    );
    for bad in [json!({ "name": "x" }), json!({ "name": "x", "at": 1, "after": 1 }), json!(7), json!({ "at": 1 })] {
        says(wallet.ask("probe", "wallet.schedule", json!([bad])).await, code::INVALID_PARAMS, "schedule");
    }
    says(wallet.ask("probe", "wallet.cancel", json!([])).await, code::INVALID_PARAMS, "name");
    wallet.host().shutdown().await;
}
