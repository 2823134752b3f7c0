//! Trees made to make fraud expensive to prove, and the golden vectors on a real gateway.

use alloy::primitives::{Address, B256, U256, address, keccak256};
use alloy::sol_types::SolCall;
use payments_contract::{Deployment, PaymentsGateway as Gateway, creation_code};
use payments_protocol::transition::apply_item;
use payments_protocol::{
    Batch, Contest, Domain, Item, ItemKind, Leaf, Message, PostedWithdraw, Record, Replay, State, Witness,
    signature::address_of,
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
    let shapes: [(&str, Dense, bool); 6] = [
        ("siblings at every level", |_| true, true),
        ("siblings above the middle", |depth| depth < 80, true),
        ("siblings below the middle", |depth| depth >= 80, true),
        ("siblings at every other level", |depth| depth % 2 == 0, true),
        ("no siblings but each other", |_| false, true),
        ("recipients without a leaf", |_| false, false),
    ];
    for (name, dense, recipients) in shapes {
        let mut chain = Chain::new(1_800_000_000);
        let gateway = gateway(&mut chain, ANYONE.address, OPERATOR.address);
        let domain = Domain::new(CHAIN_ID, gateway);
        let fraud = forest::fraud(&domain, OPERATOR.address, &keys, dense, recipients);
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

/// A leaf proves something on its own path only: below where it parts from another account's it is no witness of that one, on
/// whatever root; down to there it is, and the gateway puts the two where the protocol does.
#[test]
fn a_leaf_in_anothers_slot_proves_nothing() {
    let ((key, account), holder) = (person(1), person(2).1);
    let apart = (0..160).find(|&depth| bit(account, depth) != bit(holder, depth)).unwrap();
    let held = Leaf { balance: 9, ..Leaf::default() };
    for levels in [0, 1, apart, apart + 1, 80, 159, 160, 161] {
        let mut chain = Chain::new(1_800_000_000);
        let gateway = gateway(&mut chain, ANYONE.address, OPERATOR.address);
        let domain = Domain::new(CHAIN_ID, gateway);
        let siblings: Vec<_> = (0..levels).map(|level| keccak256(level.to_string())).collect();
        let nothing = Witness { account, balance: 0, withdrawn: 0, nonce: 0, head: B256::ZERO, siblings };
        let witness = Witness { account: holder, balance: held.balance, ..nothing.clone() };
        let root = nothing.root_with(account, held.hash(holder)).unwrap_or(keccak256("no root"));

        // An account that was never seen pays itself nothing, which takes effect.
        let message = Message::payment(account, &Leaf::default(), account, 0, 0);
        let paid = Leaf { nonce: 1, head: message.id(), ..Leaf::default() };
        let second = second_witness(&witness, account, &paid);
        let record = message.sign(&domain, &key).record().unwrap();
        let junk = vec![0xee; 8 * Record::LENGTH];
        let records = Record::encode_all(&[record]);
        let batch = Batch {
            id: 1,
            previous_commitment: B256::ZERO,
            proposer: OPERATOR.address,
            inbox_start: 0,
            inbox_end: 0,
            roots: vec![root, keccak256("false")],
            records: [junk, records.clone()].concat().into(),
        };
        chain.send(OPERATOR.address, gateway, 0, &submission_call(&batch.submission(Default::default()))).unwrap();
        let contest = Contest {
            preimage: batch.preimage(),
            chunk: 1,
            previous_data_hash: batch.data_hash(0),
            previous_root: root,
            claimed_root: batch.last_root(),
            items: Vec::new(),
            records: records.into(),
            witnesses: vec![witness, second],
        };
        let call = contest_call(&contest);
        if levels <= apart {
            let report = contest.check(&domain).unwrap();
            assert!(report.outcomes[0].effect().is_some());
            let transaction = chain.send(ANYONE.address, gateway, 0, &call).unwrap();
            assert_eq!(transaction.event::<Gateway::Contested>().correctRoot, report.root, "{levels}");
        } else {
            assert!(contest.check(&domain).is_err());
            agree(refused::<Gateway::BadWitness>(), &chain.try_call(ANYONE.address, gateway, &call));
        }
    }
}

fn bit(account: Address, depth: usize) -> bool {
    keccak256(account)[depth / 8] >> (7 - depth % 8) & 1 == 1
}

/// The witness of an account once it has a leaf beside the neighbour that this witness shows.
fn second_witness(beside: &Witness, account: Address, leaf: &Leaf) -> Witness {
    let apart = (0..160).find(|&depth| bit(account, depth) != bit(beside.account, depth)).unwrap();
    let neighbour = Leaf { balance: beside.balance, ..Leaf::default() }.hash(beside.account);
    let mut siblings = vec![neighbour];
    siblings.resize((apart + 1).saturating_sub(beside.siblings.len()).max(1), B256::ZERO);
    siblings.extend(&beside.siblings);
    let Leaf { balance, withdrawn, nonce, head } = *leaf;
    Witness { account, balance, withdrawn, nonce, head, siblings }
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
