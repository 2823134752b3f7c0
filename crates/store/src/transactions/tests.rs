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
    fixture
        .decide_approval(approval.id, "0xabcd", Decision::Approve, &serde_json::Value::Null, "user", 1_500)
        .expect("decided")
        .id
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
    let expect = TransactionState::ALL.iter().copied().filter(|state| state.is_open()).collect::<Vec<_>>();
    assert_eq!(open, expect);
    assert_eq!(open.last(), Some(&TransactionState::Superseded), "what was replaced may still be included");
    assert!(TransactionState::ALL.iter().all(|state| state.is_open() == open.contains(state)));
    assert_eq!(fixture.highest_open_nonce(31337, FROM).expect("read"), Some(4));
    assert_eq!(fixture.highest_open_nonce(1, FROM).expect("read"), None);
    assert_eq!(fixture.open_transactions(1).expect("read"), []);
    assert_eq!(fixture.transactions(None, 4).expect("read").len(), 4);
    let settled: Vec<_> =
        fixture.settled_transactions(31337, 9).expect("read").into_iter().map(|tx| tx.state).collect();
    assert_eq!(settled, [TransactionState::Replaced, TransactionState::Confirmed], "one that failed has no block here");
    assert_eq!(fixture.settled_transactions(31337, 1).expect("read").len(), 1);
    assert_eq!(fixture.settled_transactions(1, 9).expect("read"), []);
    assert_eq!(fixture.transactions(Some(1), 4).expect("read"), []);
}

#[test]
fn a_replacement_takes_the_place_and_either_may_be_included() {
    let fixture = Fixture::new();
    let approval_id = approved(&fixture);
    let old = Transaction { approval_id: Some(approval_id), ..transaction("0x1", 7) };
    fixture.insert_transaction(&old).expect("stored");
    let new = Transaction { created_at: 2, ..transaction("0x2", 7) };
    fixture.replace_transaction("0x1", &new).expect("replaced");
    fixture.replace_transaction("0x1", &new).expect("the same once more is no second one");
    let third = Transaction { created_at: 3, ..transaction("0x3", 7) };
    fixture.replace_transaction("0x2", &third).expect("replaced again");
    let fixture = fixture.reopen();
    let family = fixture.transactions_of_same_nonce("0x2").expect("read");
    assert_eq!(family.iter().map(|one| one.hash.as_str()).collect::<Vec<_>>(), ["0x1", "0x2", "0x3"]);
    assert!(family.iter().all(|one| one.approval_id == Some(approval_id)), "the same approval");
    assert_eq!(fixture.open_transactions(31337).expect("read"), family, "all three are followed");
    let current = |fixture: &Fixture| fixture.transaction_by_approval(approval_id).expect("read").expect("there").hash;
    assert_eq!(current(&fixture), "0x3", "the one that was signed last");

    // The first is included after all, in whatever order that becomes known.
    let included = TransactionUpdate {
        block_number: Some(5),
        success: Some(true),
        ..TransactionUpdate::state(TransactionState::Included)
    };
    fixture.update_transaction("0x1", &included, 4).expect("updated");
    assert_eq!(current(&fixture), "0x1");
    fixture.update_transaction("0x2", &TransactionUpdate::state(TransactionState::Replaced), 4).expect("updated");
    fixture.update_transaction("0x3", &TransactionUpdate::state(TransactionState::Replaced), 4).expect("updated");
    // A reorganisation turns that round.
    fixture.update_transaction("0x2", &included, 5).expect("updated");
    fixture.update_transaction("0x1", &TransactionUpdate::state(TransactionState::Replaced), 5).expect("updated");
    assert_eq!(current(&fixture), "0x2");
    // The approval is used, although what it was first used for is replaced.
    let second = Transaction { approval_id: Some(approval_id), ..transaction("0x9", 8) };
    assert!(
        matches!(fixture.insert_transaction(&second), Err(StoreError::ApprovalUsed { ref hash, .. }) if hash == "0x2")
    );
}

#[test]
fn only_an_open_transaction_of_that_nonce_is_replaced() {
    let fixture = Fixture::new();
    let (first, second) = (approved(&fixture), approved(&fixture));
    fixture.insert_transaction(&Transaction { approval_id: Some(first), ..transaction("0x1", 0) }).expect("stored");
    fixture.insert_transaction(&Transaction { approval_id: Some(second), ..transaction("0x2", 1) }).expect("stored");
    for other in [
        transaction("0x3", 1),
        Transaction { chain_id: 1, ..transaction("0x3", 0) },
        Transaction { from: "0x70".to_owned(), ..transaction("0x3", 0) },
    ] {
        let refused = fixture.replace_transaction("0x1", &other);
        assert!(matches!(refused, Err(StoreError::NotAReplacement { .. })), "{refused:?}");
    }
    let used = Transaction { approval_id: Some(second), ..transaction("0x3", 0) };
    assert!(matches!(fixture.replace_transaction("0x1", &used), Err(StoreError::ApprovalUsed { .. })));
    assert!(matches!(fixture.replace_transaction("0x9", &used), Err(StoreError::NotFound { .. })));
    let included = TransactionUpdate::state(TransactionState::Included);
    fixture.update_transaction("0x1", &included, 2).expect("updated");
    let late = fixture.replace_transaction("0x1", &transaction("0x3", 0));
    assert!(matches!(late, Err(StoreError::NotAReplacement { .. })), "{late:?}");
    assert_eq!(fixture.transaction("0x3").expect("read"), None, "nothing of it was stored");
    // A cancel has an approval of its own.
    let third = approved(&fixture);
    let cancel = Transaction { approval_id: Some(third), ..transaction("0x4", 1) };
    fixture.replace_transaction("0x2", &cancel).expect("replaced");
    assert_eq!(fixture.transaction_by_approval(third).expect("read"), Some(cancel));
    assert_eq!(fixture.transaction_by_approval(second).expect("read").expect("there").hash, "0x2");
    assert!(fixture.insert_transaction(&transaction("0x5", 1)).is_err(), "the nonce stays taken");
}
