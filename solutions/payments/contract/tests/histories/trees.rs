//! Trees made to make fraud expensive to prove, and the golden vectors on a real gateway.

use alloy::primitives::{Address, U256, address};
use alloy::sol_types::SolCall;
use payments_contract::{Deployment, PaymentsGateway as Gateway, creation_code};
use payments_protocol::transition::apply_item;
use payments_protocol::{
    Batch, Domain, Item, ItemKind, Leaf, Message, PostedWithdraw, Replay, State, signature::address_of,
};
use secp256k1::SecretKey;
use serde_json::Value;

use crate::calls::{contest_call, submission_call};
use crate::chain::{CHAIN_ID, Chain, GAS_LIMIT};
use crate::forest::{self, Dense};
use crate::model::{CHALLENGE, ETH, FORCE, MIN_BOND, refused};
use crate::people::{ANYONE, EVERYONE, OPERATOR};
use crate::world::agree;

fn gateway(chain: &mut Chain, deployer: Address, operator: Address) -> Address {
    for account in [deployer, operator] {
        chain.set_balance(account, 1_000_000 * ETH);
    }
    let deployment = Deployment { operator, challenge: CHALLENGE, force: FORCE, min_bond: MIN_BOND };
    let gateway = chain.deploy(deployer, creation_code(&deployment).unwrap());
    chain.send(operator, gateway, MIN_BOND, &Gateway::bondCall {}).unwrap();
    gateway
}

/// No tree makes fraud too large to prove: less than 100 KB, and less gas than layer 1 lets a transaction use even if it
/// charged 96 for a byte of calldata.
#[test]
fn adversarial_trees() {
    let keys: Vec<SecretKey> = (0..16u8).map(|i| SecretKey::from_secret_bytes([i + 1; 32]).unwrap()).collect();
    let shapes: [(&str, Dense); 5] = [
        ("siblings at every level", |_| true),
        ("siblings above the middle", |depth| depth < 80),
        ("siblings below the middle", |depth| depth >= 80),
        ("siblings at every other level", |depth| depth % 2 == 0),
        ("no siblings but each other", |_| false),
    ];
    for (name, dense) in shapes {
        let mut chain = Chain::new(1_800_000_000);
        let gateway = gateway(&mut chain, ANYONE.address, OPERATOR.address);
        let domain = Domain::new(CHAIN_ID, gateway);
        let fraud = forest::fraud(&domain, OPERATOR.address, &keys, dense);
        let submission = fraud.batch.submission(Default::default());
        chain.send(OPERATOR.address, gateway, 0, &submission_call(&submission)).unwrap();
        let call = contest_call(&fraud.contest);
        let calldata = call.abi_encode();
        let expected = fraud.contest.check(&domain).unwrap().root;
        let (_, gas) = chain.try_call(ANYONE.address, gateway, &call).unwrap();
        let data: u64 = calldata.iter().map(|byte| if *byte == 0 { 4 } else { 16 }).sum();
        let work = gas.total_gas_spent() - 21_000 - data;
        let dearest = 21_000 + work + 96 * calldata.len() as u64;
        println!("{name}: {} bytes, {} gas, {work} of work, {dearest} at 96 a byte", calldata.len(), gas.tx_gas_used());
        assert!(calldata.len() < 100_000 && dearest < GAS_LIMIT && gas.tx_gas_used() < GAS_LIMIT);
        // One step less in the proof, and it is none; as it is, the batch falls.
        let mut shorter = fraud.contest.clone();
        shorter.witnesses[16].siblings.pop();
        if shorter != fraud.contest {
            agree(refused::<Gateway::BadWitness>(), &chain.try_call(ANYONE.address, gateway, &contest_call(&shorter)));
        }
        let transaction = chain.send(ANYONE.address, gateway, 0, &call).unwrap();
        assert_eq!(transaction.event::<Gateway::Contested>().correctRoot, expected);
    }
    // What somebody could grind is far from it: of the people of the histories each is the other's sibling.
    assert!(EVERYONE.len() > 12);
}

/// Invariant 12: what `vectors/batches.json` says of two batches, a gateway at their address says too.
#[test]
fn golden_vectors_on_the_gateway() {
    let text = include_str!("../../../protocol/vectors/batches.json");
    let vectors: Value = serde_json::from_str(text).unwrap();
    let operator = person(100);
    // The first contract of anvil's first account, which is the vectors' gateway.
    let deployer = address!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
    let mut chain = Chain::new(1_700_000_000);
    let gateway = gateway(&mut chain, deployer, operator.1);
    assert_eq!(serde_json::to_value(gateway).unwrap(), vectors["domain"]["gateway"]);
    let separator = chain.view(gateway, &Gateway::DOMAIN_SEPARATORCall {});
    assert_eq!(serde_json::to_value(separator).unwrap(), vectors["domain"]["separator"]);
    let domain = Domain::new(CHAIN_ID, gateway);
    let mut state = State::new();
    for vector in vectors["batches"].as_array().unwrap() {
        let items: Vec<Item> = serde_json::from_value(vector["items"].clone()).unwrap();
        let mut soft = state.clone();
        for item in &items {
            enter(&mut chain, &domain, item, &soft);
            apply_item(&domain, &mut soft, item);
        }
        let batch: Batch = serde_json::from_value(vector["batch"].clone()).unwrap();
        let accumulator = chain.view(gateway, &Gateway::accumulatorCall { index: batch.inbox_end });
        assert_eq!(serde_json::to_value(accumulator).unwrap(), vector["accumulator"]);
        let transaction = chain.send(operator.1, gateway, 0, &submission_call(&batch.submission(accumulator))).unwrap();
        assert_eq!(serde_json::to_value(&transaction.input).unwrap(), vector["calldata"]);
        let stands = chain.view(gateway, &Gateway::batchesCall { id: U256::from(batch.id) });
        assert_eq!(serde_json::to_value(stands.commitment).unwrap(), vector["commitment"]);
        assert_eq!(serde_json::to_value(stands.root).unwrap(), vector["root"]);
        for chunk in vector["chunks"].as_array().unwrap() {
            let proof = serde_json::from_value(chunk["contest"].clone()).unwrap();
            agree(refused::<Gateway::NotFraud>(), &chain.try_call(ANYONE.address, gateway, &contest_call(&proof)));
        }
        let Replay::Equal { state: after, .. } = batch.replay(&domain, &state, &items).unwrap() else {
            panic!("the vectors' batch is false")
        };
        state = after;
    }
}

/// Makes the vector's item: its sender, at its time, with its call.
fn enter(chain: &mut Chain, domain: &Domain, item: &Item, state: &State) {
    let gateway = domain.gateway();
    chain.now = item.time;
    chain.set_balance(item.depositor, 1_000 * ETH);
    let transaction = match item.kind {
        ItemKind::Deposit => chain.send(item.depositor, gateway, item.value, &Gateway::depositCall { to: item.who }),
        ItemKind::ForcedExit => chain.send(item.depositor, gateway, 0, &Gateway::requestExitCall {}),
        ItemKind::PostedWithdraw => {
            // Signed for the leaf as it is then, or for one that has never sent.
            let leaves = [state.leaf(item.who), Leaf::default()];
            let mut messages = leaves.map(|leaf| Message::withdraw(item.who, &leaf, item.value, item.fee)).into_iter();
            let message = messages.find(|message| message.id() == item.message_id).unwrap();
            let key = (0..=255).map(person).find(|(_, address)| *address == item.who).unwrap().0;
            let latest = PostedWithdraw::of(&message.sign(domain, &key)).encode();
            let call = Gateway::requestWithdrawPaymentCall { from: item.who, latestMessage: latest };
            chain.send(item.depositor, gateway, 0, &call)
        }
    };
    let event: Gateway::InboxItem = transaction.unwrap().event();
    assert_eq!((event.index, event.messageId), (item.index, item.message_id));
}

/// The vectors' people: keccak256 of one byte is the key.
fn person(number: u8) -> (SecretKey, Address) {
    let key = SecretKey::from_secret_bytes(alloy::primitives::keccak256([number]).0).unwrap();
    (key, address_of(&key.public_key()))
}
