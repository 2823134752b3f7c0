use serde_json::json;

use super::*;
use crate::Decision;
use crate::tests::{Fixture, request};

fn active(fixture: &Fixture, caller: &str, at: u64) -> Vec<u64> {
    let filter = CallerGrantFilter { caller: Some(caller.to_owned()), active_at: Some(at), ..Default::default() };
    fixture.caller_grants(&filter).expect("read").iter().map(|grant| grant.id).collect()
}

#[test]
fn a_new_grant_takes_the_place_of_the_old_one_until_it_is_revoked_or_expires() {
    let (fixture, solution) = Fixture::with_solution();
    let put = |caveats, expires_at, now| {
        fixture.put_caller_grant("app:shop", solution.id, &caveats, expires_at, None, now).expect("granted")
    };
    let first = put(json!({ "actions": ["pay"] }), None, 10);
    let second = put(json!({ "actions": [] }), Some(40), 20);
    assert_eq!(active(&fixture, "app:shop", 20), [second.id], "never two at a time");
    assert_eq!(active(&fixture, "app:shop", 40), [0; 0], "expired");
    assert_eq!(active(&fixture, "app:other", 20), [0; 0]);
    let third = put(json!({}), None, 50);
    let revoked = fixture.revoke_caller_grant(third.id, 60).expect("revoked");
    assert_eq!(fixture.revoke_caller_grant(third.id, 70).expect("again"), revoked, "the first time stays");
    let fixture = fixture.reopen();
    assert_eq!(active(&fixture, "app:shop", 60), [0; 0]);
    let all = fixture.caller_grants(&CallerGrantFilter::default()).expect("read");
    assert_eq!(all.iter().map(|grant| grant.revoked_at).collect::<Vec<_>>(), [Some(20), Some(50), Some(60)]);
    assert_eq!(all[0].caveats, first.caveats);
    assert!(!all[2].is_active(60) && all[2].is_active(59));
    assert!(matches!(fixture.revoke_caller_grant(9, 80), Err(StoreError::NotFound { .. })));
    let missing = fixture.put_caller_grant("app:shop", 9, &json!({}), None, None, 80);
    assert!(matches!(missing, Err(StoreError::NotFound { what: "solution", .. })));
}

#[test]
fn one_approval_is_one_grant() {
    let (fixture, solution) = Fixture::with_solution();
    let approval = fixture.create_approval(&request(None)).expect("stored").id;
    let outcome = json!({ "granted": true });
    let put = || fixture.put_caller_grant("app:a", solution.id, &json!({}), None, Some((approval, &outcome)), 1_600);
    assert!(matches!(put(), Err(StoreError::NotApproved { .. })), "not before it is approved");
    let choice = json!(["narrowed"]);
    fixture.decide_approval(approval, "0xabcd", Decision::Approve, &choice, "user", 1_500).expect("decided");
    put().expect("granted");
    assert!(matches!(put(), Err(StoreError::NotApproved { .. })), "not twice");
    let approval = fixture.approval(approval).expect("read");
    assert_eq!((approval.state, &approval.outcome), (ApprovalState::Done, &Some(outcome.clone())));
    assert_eq!((&approval.choice, approval.solution), (&choice, Some(solution.id)));
    assert_eq!(fixture.caller_grants(&CallerGrantFilter::default()).expect("read").len(), 1);
}
