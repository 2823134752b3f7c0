//! What everything costs: `gas.json`, measured here and compared; and the most expensive contest there can be.

use std::collections::BTreeMap;

use alloy::primitives::U256;
use alloy::sol_types::SolCall;
use payments_contract::{Deployment, PaymentsGateway as Gateway, creation_code, runtime_code};
use payments_protocol::ClaimTo;
use payments_protocol::contest::MAX_WITNESSES;

use crate::chain::{Chain, GAS_LIMIT, passed};
use crate::forest;
use crate::fraud::with_false_root;
use crate::world::{CHALLENGE, ETH, FORCE, GWEI, MIN_BOND, World, contest_call, person, records};

/// The committed table.
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/gas.json");
/// Set it to write the table instead of comparing.
const UPDATE: &str = "UPDATE_GAS";

#[tokio::test]
async fn gas_table() {
    let mut table = BTreeMap::new();
    ordinary(&mut table).await;
    contests(&mut table).await;
    table.insert("bytes: deployed code".to_owned(), runtime_code().unwrap().len() as u64);
    let text = serde_json::to_string_pretty(&table).unwrap() + "\n";
    if std::env::var_os(UPDATE).is_some() {
        #[expect(clippy::disallowed_methods, reason = "a table in the work tree, measured again at will")]
        std::fs::write(TABLE, text).unwrap();
        return;
    }
    let committed: BTreeMap<String, u64> = serde_json::from_str(include_str!("../../gas.json")).unwrap();
    assert!(committed.keys().eq(table.keys()), "run this test with {UPDATE}=1; it measures {:?}", table.keys());
    for (what, measured) in table {
        // Timestamps and hashes have more or fewer zero bytes from run to run.
        let committed = committed[&what];
        let tolerance = committed / 100;
        assert!(measured.abs_diff(committed) <= tolerance, "{what}: {measured}, not {committed}; {UPDATE}=1 if meant");
    }
}

async fn ordinary(table: &mut BTreeMap<String, u64>) {
    let mut world = World::new().await;
    let alice = world.alice.clone();
    let mut put = |what: &str, gas: u64| {
        table.insert(what.to_owned(), gas);
    };
    let deployment = Deployment { operator: world.operator, challenge: CHALLENGE, force: FORCE, min_bond: MIN_BOND };
    let code = creation_code(&deployment).unwrap();
    put("deploy", passed(world.chain.send(world.anyone, None, 0, code).await).gas_used);
    for what in ["deposit, the first of all", "deposit, a second for the account"] {
        let receipt = passed(world.call(alice.address, 10 * ETH, Gateway::depositCall { to: alice.address }).await);
        world.entered(&receipt);
        put(what, receipt.gas_used);
    }
    put("submitBatch, 2 items", world.advance_with(&[]).await.gas_used);
    for count in [1, 8, 64, 512, 960] {
        let payments = world.payments(&alice, world.bob.address, GWEI, GWEI, count);
        let gas = world.advance_with(&payments).await.gas_used;
        put(&format!("submitBatch, {count} payments: each"), gas / count as u64);
    }
    let bond = passed(world.call(world.operator, ETH, Gateway::bondCall {}).await);
    put("bond, once more", bond.gas_used);
    let withdrawal = world.withdraw(&alice, ETH, 0);
    let payment = world.pay(&world.bob.clone(), world.carol.address, GWEI, 0);
    world.advance_with(&records(&[withdrawal, payment])).await;
    world.finalise().await;
    put("claim, the account's first", passed(world.claim(alice.address).await).gas_used);
    let withdrawal = world.withdraw(&alice, ETH, 0);
    world.advance_with(&records(&[withdrawal])).await;
    world.finalise().await;
    let permit =
        ClaimTo { account: alice.address, recipient: world.bob.address, claimed_before: ETH, claimed_after: 2 * ETH };
    let signature = permit.sign(&world.domain, &alice.key).to_bytes();
    let claim = world.claim_to(world.anyone, alice.address, world.bob.address, signature).await;
    put("claim to another by signature", passed(claim).gas_used);
    put("unbond", passed(world.call(world.operator, 0, Gateway::unbondCall {}).await).gas_used);

    let exit = passed(world.call(alice.address, 0, Gateway::requestExitCall {}).await);
    world.entered(&exit);
    put("requestExit", exit.gas_used);
    let call = Gateway::requestWithdrawPaymentCall {
        from: alice.address,
        latestMessage: crate::world::posted(&world.withdraw(&alice, ETH, 0)),
    };
    let posted = passed(world.call(world.anyone, 0, call).await);
    world.entered(&posted);
    put("requestWithdrawPayment, signed", posted.gas_used);
    let deposit = world.deposit(alice.address, ETH).await;
    world.chain.advance(FORCE + 1).await;
    put("halt", passed(world.halt().await).gas_used);
    let reclaim = Gateway::reclaimDepositCall { index: deposit.index };
    put("reclaimDeposit", passed(world.call(world.anyone, 0, reclaim).await).gas_used);
}

async fn contests(table: &mut BTreeMap<String, u64>) {
    let mut world = World::new().await;
    for name in 0..24 {
        world.deposit(person(&name.to_string()).address, ETH).await;
    }
    let batch = with_false_root(&world.build(&[]), 2);
    table.insert("contest, 8 deposits".to_owned(), world.falls(&batch).await.gas_used);
    let collect = Gateway::collectRewardCall { reward: U256::ZERO };
    table.insert("collectReward".to_owned(), passed(world.call(world.anyone, 0, collect).await).gas_used);
    world.bond(MIN_BOND).await;
    world.advance_with(&[]).await;
    let payments: Vec<_> =
        (0..8).map(|i| world.pay(&person(&i.to_string()), person(&(i + 8).to_string()).address, GWEI, GWEI)).collect();
    let batch = with_false_root(&world.build(&records(&payments)), 0);
    table.insert("contest, 8 payments among 24 accounts".to_owned(), world.falls(&batch).await.gas_used);
    let worst = worst_contest("osaka").await;
    table.insert("contest, the most expensive".to_owned(), worst.gas_used);
    table.insert("bytes: the most expensive contest".to_owned(), worst.calldata.len() as u64);
}

struct Worst {
    gas_used: u64,
    calldata: Vec<u8>,
}

/// The most expensive contest that there can be, under the rules of this upgrade of layer 1.
async fn worst_contest(hardfork: &str) -> Worst {
    let world = World::on(Chain::start_as(31337, hardfork).await, person("operator").address).await;
    world.bond(MIN_BOND).await;
    let keys: Vec<_> = (0..16).map(|i| person(&i.to_string()).key).collect();
    let fraud = forest::fraud(&world.domain, world.operator, &keys, |_| true, true);
    passed(world.submit(&fraud.batch).await);
    let report = fraud.contest.check(&world.domain).unwrap();
    assert!(report.outcomes.iter().all(|outcome| outcome.effect().is_some()));
    assert_eq!(fraud.contest.witnesses.len(), MAX_WITNESSES);
    let receipt = passed(world.contest(world.anyone, &fraud.contest).await);
    let event: Gateway::Contested = world.event(&receipt);
    assert_eq!(event.correctRoot, report.root);
    Worst { gas_used: receipt.gas_used, calldata: contest_call(&fraud.contest).abi_encode() }
}

/// No fraud is too large to prove: less than 100 KB, and less than a transaction's gas limit even if layer 1 charged 96
/// gas a byte of calldata.
#[tokio::test]
async fn unprovable_fraud() {
    // Before EIP-7623 a byte cost 4 or 16 gas and there was no floor, so that the work alone can be told.
    let Worst { gas_used, calldata } = worst_contest("cancun").await;
    let data: u64 = calldata.iter().map(|byte| if *byte == 0 { 4 } else { 16 }).sum();
    let work = gas_used - 21_000 - data;
    let dearest = 21_000 + work + 96 * calldata.len() as u64;
    println!("most expensive contest: {} bytes, {work} gas of work, {dearest} gas at 96 a byte", calldata.len());
    assert!(calldata.len() < 100_000);
    assert!(dearest < GAS_LIMIT);
}
