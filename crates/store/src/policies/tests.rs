use serde_json::json;

use super::*;
use crate::tests::Fixture;

#[test]
fn a_policy_is_paused_resumed_and_revoked_for_good() {
    let (fixture, solution) = Fixture::with_solution();
    let policy = fixture.put_policy("app:a", solution.id, &json!({ "limit": "5" }), Some(100), 10).expect("stored");
    assert!(policy.is_active(99) && !policy.is_active(100));
    let paused = fixture.set_policy_state(policy.id, PolicyState::Paused, Some("too often"), 20).expect("paused");
    assert_eq!((paused.reason.as_deref(), paused.updated_at, paused.is_active(21)), (Some("too often"), 20, false));
    let same = fixture.set_policy_state(policy.id, PolicyState::Paused, None, 30).expect("paused already");
    assert_eq!(same, paused, "nothing was written");
    assert!(fixture.set_policy_state(policy.id, PolicyState::Active, None, 40).expect("resumed").is_active(41));
    let fixture = fixture.reopen();
    fixture.set_policy_state(policy.id, PolicyState::Revoked, None, 50).expect("revoked");
    let again = fixture.set_policy_state(policy.id, PolicyState::Active, None, 60);
    assert!(matches!(again, Err(StoreError::PolicyRevoked { .. })));
    assert!(matches!(fixture.policy(9), Err(StoreError::NotFound { .. })));
}

#[test]
fn policies_are_found_by_caller_solution_and_state() {
    let (fixture, solution) = Fixture::with_solution();
    for caller in ["app:a", "app:b", "app:a"] {
        fixture.put_policy(caller, solution.id, &json!({}), None, 1).expect("stored");
    }
    fixture.set_policy_state(3, PolicyState::Paused, None, 2).expect("paused");
    let check = |filter: PolicyFilter, expect: &[u64]| {
        let found: Vec<_> = fixture.policies(&filter).expect("read").iter().map(|policy| policy.id).collect();
        assert_eq!(found, expect, "{filter:?}");
    };
    let caller = || Some("app:a".to_owned());
    check(PolicyFilter::default(), &[1, 2, 3]);
    check(PolicyFilter { caller: caller(), ..Default::default() }, &[1, 3]);
    check(PolicyFilter { caller: caller(), state: Some(PolicyState::Active), ..Default::default() }, &[1]);
    check(PolicyFilter { solution: Some(9), ..Default::default() }, &[]);
    assert!(matches!(fixture.put_policy("app:a", 9, &json!({}), None, 1), Err(StoreError::NotFound { .. })));
}
