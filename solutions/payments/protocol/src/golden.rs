//! Golden vectors: `vectors/*.json`, against which the Solidity and JavaScript sides are held.
//!
//! After a deliberate change of the protocol: `UPDATE_EXPECT=1 cargo test --release -p payments-protocol golden`, and read the diff.

use alloy::primitives::{Address, B256, Bytes};
use expect_test::{ExpectFile, expect_file};
use serde_json::{Value, json};

use crate::{
    Batch, ClaimTo, Contest, Effect, Inbox, Kind, Leaf, Message, Outcome, PostedWithdraw, Receipt, ReceiptTree, Record,
    Signature, SignedReceipt, State,
    message::{GWEI, payment_type_hash, withdraw_type_hash},
    sign_digest,
    testing::{ETHER, Person, deposit, domain, forced_exit, person, posted, record},
    transition::{apply_item, apply_record},
};

fn compare(file: ExpectFile, vectors: &Value) {
    let mut text = serde_json::to_string_pretty(vectors).unwrap();
    text.push('\n');
    file.assert_eq(&text);
}

fn domain_json() -> Value {
    json!({
        "chainId": domain().chain_id().to_string(),
        "gateway": domain().gateway(),
        "separator": domain().separator(),
    })
}

fn key(person: &Person) -> B256 {
    B256::from(person.key.to_secret_bytes())
}

#[test]
fn messages() {
    let (one, two) = (person(1), person(2));
    let cases: Vec<_> = [
        (Kind::Payment, two.address, 1, 0, 0, B256::ZERO),
        (Kind::Payment, two.address, ETHER / 3, 25 * GWEI, 1, B256::repeat_byte(0x11)),
        (Kind::Payment, one.address, (1 << 96) - 1, u128::from(u32::MAX) * GWEI, u64::MAX, B256::repeat_byte(0xff)),
        (Kind::Withdraw, Address::ZERO, ETHER, 0, 0, B256::ZERO),
        (Kind::Withdraw, Address::ZERO, 0, GWEI, 7, B256::repeat_byte(0x22)),
    ]
    .into_iter()
    .map(|(kind, to, value, fee, nonce, prev)| {
        let message = Message { kind, from: one.address, to, value, fee, nonce, prev };
        let signed = message.clone().sign(&domain(), &one.key);
        let mut case = json!({
            "signed": signed,
            "id": message.id(),
            "digest": message.digest(&domain()),
            "record": Bytes::copy_from_slice(&record(&signed).encode()),
        });
        if kind == Kind::Withdraw {
            case["latestMessage"] = json!(PostedWithdraw::of(&signed).encode());
        }
        case
    })
    .collect();
    let claim = ClaimTo { account: one.address, recipient: two.address, claimed_before: 3, claimed_after: ETHER };
    let receipt = Receipt {
        message_id: B256::repeat_byte(0x33),
        sequence: 12,
        previous_receipt: B256::repeat_byte(0x44),
        time: 1_700_000_000,
    };
    // A group of three: the last one rises a level without a partner.
    let before = Receipt { message_id: B256::repeat_byte(0x32), sequence: 11, ..receipt };
    let receipt = Receipt { previous_receipt: before.hash(), ..receipt };
    let after =
        Receipt { message_id: B256::repeat_byte(0x34), sequence: 13, previous_receipt: receipt.hash(), ..receipt };
    let tree = ReceiptTree::new([before, receipt, after]).unwrap();
    let signature = sign_digest(&one.key, tree.group().digest(&domain()));
    let grouped = [before, receipt, after].map(|receipt| SignedReceipt {
        receipt,
        group: tree.path(receipt.sequence),
        signature,
    });
    let vectors = json!({
        "domain": domain_json(),
        "typeHashes": { "Payment": payment_type_hash(), "Withdraw": withdraw_type_hash() },
        "key": key(&one),
        "messages": cases,
        "claimTo": {
            "claim": claim,
            "hash": claim.hash(),
            "digest": claim.digest(&domain()),
            "signature": Bytes::copy_from_slice(&claim.sign(&domain(), &one.key).to_bytes()),
        },
        "receipt": {
            "hash": receipt.hash(),
            "signed": grouped[1],
            "group": grouped,
            "groupHash": tree.group().hash(),
            "root": tree.group().root,
            "alone": SignedReceipt { receipt, group: None, signature: sign_digest(&one.key, domain().digest(receipt.hash())) },
        },
    });
    compare(expect_file!["../vectors/messages.json"], &vectors);
}

#[test]
fn tree() {
    let mut state = State::new();
    let mut steps = Vec::new();
    for number in [1u8, 2, 3, 1, 4] {
        let account = person(number).address;
        let before = state.leaf(account);
        let leaf = Leaf {
            balance: before.balance + ETHER * u128::from(number),
            withdrawn: u128::from(number - 1),
            nonce: before.nonce + u64::from(number % 2),
            head: B256::repeat_byte(number),
        };
        let witness_before = state.witness(account);
        state.set(account, leaf);
        steps.push(json!({
            "account": account,
            "witnessBefore": witness_before,
            "leaf": leaf,
            "leafHash": leaf.hash(account),
            "root": state.root(),
        }));
    }
    let proofs: Vec<_> = (1..=6)
        .map(|number| {
            let account = person(number).address;
            json!({ "account": account, "witness": state.witness(account) })
        })
        .collect();
    let vectors = json!({ "steps": steps, "root": state.root(), "proofs": proofs });
    compare(expect_file!["../vectors/tree.json"], &vectors);
}

/// Two batches with every kind of item, message and reason, and a proof of each chunk.
#[test]
fn batches() {
    let (one, two, three, operator) = (person(1), person(2), person(3), person(100));
    let (mut inbox, mut state) = (Inbox::new(), State::new());
    let mut batches = Vec::new();
    let mut commitment = B256::ZERO;
    for round in 0..2u64 {
        let (before, start) = (state.clone(), inbox.len());
        let mut soft = before.clone();
        let mut push = |soft: &mut State, make: &dyn Fn(u64, &State) -> crate::Item| {
            let item = make(inbox.len(), soft);
            apply_item(&domain(), soft, &item);
            inbox.push(item).unwrap();
        };
        if round == 0 {
            for number in 1..=9u8 {
                push(&mut soft, &|index, _| deposit(index, person(number).address, ETHER));
            }
        } else {
            push(&mut soft, &|index, soft| posted(index, soft, two.address, ETHER / 5, GWEI));
            push(&mut soft, &|index, _| forced_exit(index, three.address));
            push(&mut soft, &|index, _| forced_exit(index, person(50).address));
            push(&mut soft, &|index, soft| posted(index, soft, two.address, ETHER * 9, 0));
            let stale = State::new();
            push(&mut soft, &|index, _| posted(index, &stale, two.address, 1, 0));
        }
        let mut records = Vec::new();
        let mut send = |soft: &mut State, record: Record| {
            apply_record(&domain(), soft, &record);
            records.push(record);
        };
        let pay = |soft: &State, from: &Person, to, value, fee| record(&from.pay(soft, to, value, fee));
        let first = pay(&soft, &one, two.address, ETHER / 10, GWEI);
        send(&mut soft, first);
        send(&mut soft, first); // once more: no effect
        let own = pay(&soft, &one, one.address, 5, 2 * GWEI);
        send(&mut soft, own);
        let out = record(&two.withdraw(&soft, ETHER / 7, 0));
        send(&mut soft, out);
        let fresh = pay(&soft, &one, person(60).address, 1, 0);
        send(&mut soft, fresh);
        let poor = pay(&soft, &person(61), one.address, ETHER, 0);
        send(&mut soft, poor);
        send(&mut soft, Record { kind: 9, ..poor });
        let high = Signature { s: B256::repeat_byte(0xee), ..first.signature };
        send(&mut soft, Record { signature: high, ..first });
        send(&mut soft, Record { signature: Signature { v: 1, ..first.signature }, ..first });
        let last = pay(&soft, &two, operator.address, 77, 3 * GWEI);
        send(&mut soft, last);
        let items = inbox.range(start, inbox.len()).unwrap().to_vec();
        let built =
            Batch::build(&domain(), &before, round + 1, commitment, operator.address, start, &items, &records).unwrap();
        let accumulator = inbox.accumulator(inbox.len()).unwrap();
        let chunks: Vec<_> = built
            .reports
            .iter()
            .enumerate()
            .map(|(index, report)| {
                let outcomes: Vec<_> = report.outcomes.iter().map(outcome).collect();
                json!({
                    "outcomes": outcomes,
                    "fees": report.fees.to_string(),
                    "contest": Contest::of_chunk(&domain(), &built.batch, &before, &items, index),
                })
            })
            .collect();
        batches.push(json!({
            "rootBefore": before.root(),
            "items": items,
            "itemHashes": items.iter().map(crate::Item::hash).collect::<Vec<_>>(),
            "accumulator": accumulator,
            "batch": built.batch,
            "commitment": built.batch.commitment(),
            "calldata": built.batch.submission(accumulator).encode(),
            "chunks": chunks,
            "root": built.state.root(),
        }));
        commitment = built.batch.commitment();
        state = built.state;
    }
    let vectors = json!({ "domain": domain_json(), "batches": batches });
    compare(expect_file!["../vectors/batches.json"], &vectors);
}

fn outcome(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Effective(Effect::Message { id, .. }) => json!({ "message": id }),
        Outcome::Effective(Effect::Deposit { value, .. }) => json!({ "deposit": value.to_string() }),
        Outcome::Effective(Effect::ForcedExit { head, value, .. }) => {
            json!({ "forcedExit": head, "value": value.to_string() })
        }
        Outcome::Effective(Effect::PostedWithdraw { id, .. }) => json!({ "postedWithdraw": id }),
        Outcome::NoEffect(reason) => json!({ "noEffect": reason.to_string() }),
    }
}
