use serde_json::json;

use super::*;
use crate::tests::{Fixture, request};

fn deposit(solution: SolutionId) -> NewTransfer {
    NewTransfer {
        solution,
        kind: TransferKind::Deposit,
        amount: "1000000000000000000".to_owned(),
        asset: "ETH".to_owned(),
        stage: "approved".to_owned(),
        stages: json!(["approved", "included", "credited"]),
        plugin: false,
        approval_id: None,
        tx_hash: None,
        detail: json!({}),
    }
}

#[test]
fn stages_move_forwards_and_back() {
    let (fixture, solution) = Fixture::with_solution();
    let transfer = fixture.create_transfer(&deposit(solution.id), 10).expect("stored");
    assert_eq!((transfer.stage.as_str(), transfer.created_at, transfer.updated_at), ("approved", 10, 10));
    let update = TransferUpdate {
        stage: Some("included".to_owned()),
        tx_hash: Some("0x1".to_owned()),
        detail: Some(json!({ "block": 5 })),
    };
    let moved = fixture.update_transfer(transfer.id, &update, 20).expect("moved");
    assert_eq!((moved.stage.as_str(), moved.tx_hash.as_deref(), moved.updated_at), ("included", Some("0x1"), 20));
    assert_eq!(fixture.update_transfer(transfer.id, &update, 30).expect("nothing new").updated_at, 20);
    let back = TransferUpdate { stage: Some("approved".to_owned()), ..TransferUpdate::default() };
    let back = fixture.update_transfer(transfer.id, &back, 40).expect("moved");
    assert_eq!((back.stage.as_str(), &back.detail), ("approved", &json!({ "block": 5 })), "the rest stays");
    let fixture = fixture.reopen();
    assert_eq!(fixture.transfer(transfer.id).expect("read"), back);
    assert_eq!(fixture.transfers_by_transaction("0x1").expect("read"), [back]);
    assert!(matches!(fixture.update_transfer(99, &update, 50), Err(StoreError::NotFound { .. })));
    assert!(matches!(fixture.transfer(99), Err(StoreError::NotFound { .. })));
}

#[test]
fn an_approval_leads_to_one_transfer() {
    let (fixture, solution) = Fixture::with_solution();
    let approval = fixture.create_approval(&request(None)).expect("stored");
    let new = NewTransfer { approval_id: Some(approval.id), ..deposit(solution.id) };
    let first = fixture.create_transfer(&new, 10).expect("stored");
    assert_eq!(fixture.create_transfer(&new, 20).expect("known"), first);
    assert_eq!(fixture.transfer_by_approval(approval.id).expect("read"), Some(first));
    assert_eq!(fixture.transfer_by_approval(99).expect("read"), None);
    assert_eq!(fixture.transfers(TransferFilter::default()).expect("read").len(), 1);
}

#[test]
fn lists_are_filtered_and_keep_their_order() {
    let (fixture, solution) = Fixture::with_solution();
    let ids: Vec<u64> = TransferKind::ALL
        .iter()
        .map(|kind| {
            fixture.create_transfer(&NewTransfer { kind: *kind, ..deposit(solution.id) }, 1).expect("stored").id
        })
        .collect();
    let check = |filter: TransferFilter, expect: &[u64]| {
        let found: Vec<u64> = fixture.transfers(filter).expect("read").iter().map(|transfer| transfer.id).collect();
        assert_eq!(found, expect, "{filter:?}");
    };
    let all = TransferFilter::default();
    check(all, &ids);
    check(TransferFilter { limit: Some(2), ..all }, &ids[2..]);
    check(TransferFilter { kind: Some(TransferKind::Withdrawal), ..all }, &ids[1..2]);
    check(TransferFilter { solution: Some(99), ..all }, &[]);
    let late = NewTransfer { plugin: true, ..deposit(solution.id) };
    let late = fixture.create_transfer(&late, 50).expect("stored");
    assert!(fixture.transfer(late.id).expect("read").plugin);
    check(TransferFilter { since: Some(50), ..all }, &[late.id]);
    check(TransferFilter { since: Some(1), until: Some(50), ..all }, &ids);
}
