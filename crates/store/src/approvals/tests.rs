use serde_json::json;

use super::*;
use crate::tests::{Fixture, request};

#[test]
fn asking_again_with_the_same_key_is_asking_once() {
    let fixture = Fixture::new();
    let first = fixture.create_approval(&request(Some("call-1"))).expect("stored");
    let changed = NewApproval { digest: "0x9999".to_owned(), ..request(Some("call-1")) };
    assert_eq!(fixture.create_approval(&changed).expect("known"), first);
    let decided =
        fixture.decide_approval(first.id, "0xabcd", Decision::Reject, &Value::Null, "user", 1_500).expect("decided");
    let fixture = fixture.reopen();
    assert_eq!(fixture.create_approval(&request(Some("call-1"))).expect("known"), decided, "also after a restart");
    assert_eq!(fixture.approval_by_request_key("call-1").expect("read"), Some(decided));
    assert_eq!(fixture.approval_by_request_key("call-2").expect("read"), None);
    // Without a key every request is one of its own.
    let (one, two) = (fixture.create_approval(&request(None)), fixture.create_approval(&request(None)));
    assert_ne!(one.expect("stored").id, two.expect("stored").id);
    assert_eq!(fixture.approvals(ApprovalFilter::default()).expect("read").len(), 3);
}

#[test]
fn a_decision_is_for_what_was_seen_and_made_once() {
    let fixture = Fixture::new();
    let approval = fixture.create_approval(&request(None)).expect("stored");
    let id = approval.id;
    let wrong = fixture.decide_approval(id, "0xabce", Decision::Approve, &Value::Null, "user", 1_500);
    assert!(matches!(wrong, Err(StoreError::DigestMismatch { .. })));
    let late = fixture.decide_approval(id, "0xabcd", Decision::Approve, &Value::Null, "user", 2_000);
    assert!(matches!(late, Err(StoreError::ApprovalExpired { .. })));
    assert_eq!(fixture.approval(id).expect("read"), approval, "a refused decision changes nothing");

    let decided =
        fixture.decide_approval(id, "0xABCD", Decision::Approve, &Value::Null, "cli", 1_999).expect("decided");
    assert_eq!(decided.state, ApprovalState::Approved);
    assert_eq!((decided.decided_by.as_deref(), decided.decided_at), (Some("cli"), Some(1_999)));
    for decision in [Decision::Approve, Decision::Reject, Decision::Expire] {
        let again = fixture.decide_approval(id, "0xabcd", decision, &Value::Null, "user", 1_500);
        assert!(matches!(again, Err(StoreError::NotPending { state: ApprovalState::Approved, .. })));
    }
    let missing = fixture.decide_approval(99, "0xabcd", Decision::Approve, &Value::Null, "user", 1_500);
    assert!(matches!(missing, Err(StoreError::NotFound { .. })));
}

#[test]
fn only_what_was_approved_can_be_finished_and_the_first_outcome_stays() {
    let fixture = Fixture::new();
    let ids: Vec<u64> = (0..3).map(|_| fixture.create_approval(&request(None)).expect("stored").id).collect();
    let (done, failed) = (json!({ "hash": "0x1" }), json!({ "error": "reverted" }));
    let early = fixture.finish_approval(ids[0], Ok(&done));
    assert!(matches!(early, Err(StoreError::NotApproved { state: ApprovalState::Pending, .. })));
    for id in &ids[..2] {
        fixture.decide_approval(*id, "0xabcd", Decision::Approve, &Value::Null, "user", 1_500).expect("decided");
    }
    fixture.decide_approval(ids[2], "0xabcd", Decision::Reject, &Value::Null, "user", 1_500).expect("decided");
    let rejected = fixture.finish_approval(ids[2], Ok(&done));
    assert!(matches!(rejected, Err(StoreError::NotApproved { state: ApprovalState::Rejected, .. })));

    let fixture = fixture.reopen();
    let open: Vec<u64> = fixture.open_approved().expect("read").iter().map(|approval| approval.id).collect();
    assert_eq!(open, ids[..2], "what a start has to resume");
    let finished = fixture.finish_approval(ids[0], Ok(&done)).expect("finished");
    assert_eq!((finished.state, finished.outcome), (ApprovalState::Done, Some(done.clone())));
    let again = fixture.finish_approval(ids[0], Err(&failed)).expect("no error");
    assert_eq!((again.state, again.outcome), (ApprovalState::Done, Some(done)));
    let finished = fixture.finish_approval(ids[1], Err(&failed)).expect("finished");
    assert_eq!((finished.state, finished.outcome), (ApprovalState::Failed, Some(failed)));
    assert_eq!(fixture.open_approved().expect("read"), []);
}

#[test]
fn late_requests_expire() {
    let fixture = Fixture::new();
    let soon = fixture.create_approval(&request(None)).expect("stored");
    let later = fixture.create_approval(&NewApproval { expires_at: 3_000, ..request(None) }).expect("stored");
    assert_eq!(fixture.expire_approvals(1_999).expect("none"), []);
    let expired = fixture.expire_approvals(2_000).expect("one");
    assert_eq!(expired.iter().map(|approval| approval.id).collect::<Vec<_>>(), [soon.id]);
    assert_eq!(fixture.approval(soon.id).expect("read").state, ApprovalState::Expired);
    assert_eq!(fixture.approval(later.id).expect("read"), later);
}

#[test]
fn lists_are_filtered_and_keep_their_order() {
    let (fixture, solution) = Fixture::with_solution();
    let mine = NewApproval { solution: Some(solution.id), ..request(None) };
    let ids: Vec<u64> = [&mine, &request(None), &mine, &mine]
        .into_iter()
        .map(|new| fixture.create_approval(new).expect("stored").id)
        .collect();
    fixture.decide_approval(ids[2], "0xabcd", Decision::Reject, &Value::Null, "user", 1_500).expect("decided");
    let check = |filter: ApprovalFilter, expect: &[u64]| {
        let found: Vec<u64> = fixture.approvals(filter).expect("read").iter().map(|approval| approval.id).collect();
        assert_eq!(found, expect, "{filter:?}");
    };
    let all = ApprovalFilter::default();
    check(all, &ids);
    check(ApprovalFilter { limit: Some(2), ..all }, &ids[2..]);
    check(ApprovalFilter { solution: Some(solution.id), ..all }, &[ids[0], ids[2], ids[3]]);
    let pending = ApprovalFilter { state: Some(ApprovalState::Pending), ..all };
    check(ApprovalFilter { solution: Some(solution.id), ..pending }, &[ids[0], ids[3]]);
    check(ApprovalFilter { solution: Some(99), ..all }, &[]);
}

#[test]
fn the_states_have_one_spelling() {
    for state in ApprovalState::ALL {
        assert_eq!(state.as_str().parse::<ApprovalState>().as_ref(), Ok(state));
        assert_eq!(serde_json::to_value(state).expect("JSON"), json!(state.as_str()));
    }
    let error = "approvd".parse::<ApprovalState>().expect_err("unknown");
    assert_eq!(error, "\"approvd\" is none of pending, approved, rejected, expired, done, failed");
}
