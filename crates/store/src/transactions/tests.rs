use super::*;
use crate::Decision;
use crate::tests::{Fixture, request};

const FROM: &str = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";

fn transaction(hash: &str, nonce: u64) -> Transaction {
    Transaction {
        hash: hash.to_owned(),
        chain_id: 31337,
        from: FROM.to_owned(),
        nonce,
        raw: "0x02".to_owned(),
        approval_id: None,
        solution: None,
        purpose: "deposit".to_owned(),
        state: TransactionState::Stored,
        block_number: None,
        block_hash: None,
        success: None,
        gas_used: None,
        effective_gas_price: None,
        failure: None,
        created_at: 1,
        updated_at: 1,
    }
}

fn approved(fixture: &Fixture) -> u64 {
    let approval = fixture.create_approval(&request(None)).expect("stored");
    fixture.decide_approval(approval.id, "0xabcd", Decision::Approve, "user", 1_500).expect("decided").id
}

#[test]
fn an_approval_is_used_for_one_transaction() {
    let fixture = Fixture::new();
    let approval_id = approved(&fixture);
    let first = Transaction { approval_id: Some(approval_id), ..transaction("0x1", 0) };
    fixture.insert_transaction(&first).expect("stored");
    fixture.insert_transaction(&first).expect("the same once more is no second one");
    let second = Transaction { approval_id: Some(approval_id), ..transaction("0x2", 1) };
    let refused = fixture.insert_transaction(&second);
    assert!(matches!(refused, Err(StoreError::ApprovalUsed { ref hash, .. }) if hash == "0x1"));
    assert_eq!(fixture.transaction_by_approval(approval_id).expect("read"), Some(first));
    assert_eq!(fixture.open_transactions(31337).expect("read").len(), 1);

    // A replacement at the same nonce takes its place, once the first one is marked.
    let replacement = Transaction { nonce: 0, ..second };
    assert!(fixture.insert_transaction(&replacement).is_err());
    let replaced = TransactionUpdate::state(TransactionState::Replaced);
    fixture.update_transaction("0x1", &replaced, 2).expect("updated");
    fixture.insert_transaction(&replacement).expect("stored");
    assert_eq!(fixture.transaction_by_approval(approval_id).expect("read"), Some(replacement));

    let unknown = Transaction { approval_id: Some(99), ..transaction("0x3", 5) };
    assert!(matches!(fixture.insert_transaction(&unknown), Err(StoreError::Database(_))), "no such approval");
}

#[test]
fn a_nonce_is_used_once_per_chain_and_sender() {
    let fixture = Fixture::new();
    fixture.insert_transaction(&transaction("0x1", 7)).expect("stored");
    let taken = fixture.insert_transaction(&transaction("0x2", 7));
    assert!(matches!(taken, Err(StoreError::NonceTaken { nonce: 7, .. })));
    fixture.insert_transaction(&Transaction { chain_id: 1, ..transaction("0x3", 7) }).expect("another chain");
    fixture
        .insert_transaction(&Transaction { from: "0x7099".to_owned(), ..transaction("0x4", 7) })
        .expect("another sender");
    let failed = TransactionUpdate::state(TransactionState::Failed);
    fixture.update_transaction("0x1", &failed, 2).expect("updated");
    fixture.insert_transaction(&transaction("0x2", 7)).expect("the nonce is free again");
}

#[test]
fn updates_go_forwards_and_back() {
    let fixture = Fixture::new();
    fixture.insert_transaction(&transaction("0x1", 0)).expect("stored");
    let included = TransactionUpdate {
        state: TransactionState::Included,
        block_number: Some(12),
        block_hash: Some("0xb".to_owned()),
        success: Some(true),
        gas_used: Some(21_000),
        effective_gas_price: Some("340282366920938463463374607431768211455".to_owned()),
        failure: None,
    };
    fixture.update_transaction("0x1", &included, 5).expect("updated");
    let fixture = fixture.reopen();
    let found = fixture.transaction("0x1").expect("read").expect("there");
    assert_eq!((found.state, found.block_number, found.success), (TransactionState::Included, Some(12), Some(true)));
    assert_eq!((found.effective_gas_price, found.updated_at), (included.effective_gas_price.clone(), 5));
    fixture.update_transaction("0x1", &included, 6).expect("nothing new");
    assert_eq!(fixture.transaction("0x1").expect("read").expect("there").updated_at, 5, "nothing was written");
    // A reorganisation takes the block back.
    fixture.update_transaction("0x1", &TransactionUpdate::state(TransactionState::Broadcast), 7).expect("updated");
    let expect = Transaction { state: TransactionState::Broadcast, updated_at: 7, ..transaction("0x1", 0) };
    assert_eq!(fixture.transaction("0x1").expect("read"), Some(expect));
    let missing = fixture.update_transaction("0x9", &included, 8);
    assert!(matches!(missing, Err(StoreError::NotFound { .. })));
}

#[test]
fn only_open_transactions_are_resumed_and_count_for_the_nonce() {
    let fixture = Fixture::new();
    assert_eq!(fixture.highest_open_nonce(31337, FROM).expect("read"), None);
    for (nonce, state) in TransactionState::ALL.iter().enumerate() {
        let new = transaction(&format!("0x{nonce}"), nonce as u64);
        fixture.insert_transaction(&Transaction { state: *state, ..new }).expect("stored");
    }
    let open: Vec<_> = fixture.open_transactions(31337).expect("read").into_iter().map(|tx| tx.state).collect();
    assert_eq!(open, [TransactionState::Stored, TransactionState::Broadcast, TransactionState::Included]);
    assert!(TransactionState::ALL.iter().all(|state| state.is_open() == open.contains(state)));
    assert_eq!(fixture.highest_open_nonce(31337, FROM).expect("read"), Some(2));
    assert_eq!(fixture.highest_open_nonce(1, FROM).expect("read"), None);
    assert_eq!(fixture.open_transactions(1).expect("read"), []);
    assert_eq!(fixture.transactions(None, 4).expect("read").len(), 4);
    assert_eq!(fixture.transactions(Some(1), 4).expect("read"), []);
}
