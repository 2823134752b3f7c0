use serde_json::json;

use super::*;
use crate::tests::{Fixture, request, solution};
use crate::{Approval, Decision};

fn approved(fixture: &Fixture) -> Approval {
    let approval = fixture.create_approval(&request(None)).expect("stored");
    fixture.decide_approval(approval.id, "0xabcd", Decision::Approve, &Value::Null, "user", 1_500).expect("decided")
}

#[test]
fn an_install_is_one_transaction_with_its_grants_and_its_approval() {
    let fixture = Fixture::with_network();
    let approval = approved(&fixture);
    let grants = ["\"keys\"".to_owned(), "{\"network\":\"$networkUrl\"}".to_owned()];
    let outcome = json!({ "installed": true });
    let new = solution("payments", "m/43'/60'/1775'/1'");
    let installed = fixture.install(&new, &grants, Some((approval.id, &outcome)), 1_600).expect("installed");
    assert_eq!((installed.status, installed.created_at), (SolutionStatus::Active, 1_600));
    assert_eq!(installed.spec, new);
    assert_eq!(fixture.active_grants(installed.id).expect("read"), grants);
    let approval = fixture.approval(approval.id).expect("read");
    assert_eq!((approval.state, approval.outcome.clone()), (ApprovalState::Done, Some(outcome)));
    assert_eq!(approval.solution, Some(installed.id));
    assert_eq!(fixture.solution(installed.id).expect("read"), Some(installed.clone()));
    assert_eq!(fixture.solution_by_name("payments").expect("read"), Some(installed));
}

#[test]
fn nothing_is_installed_without_the_approval() {
    let fixture = Fixture::with_network();
    let new = solution("payments", "m/43'/60'/1775'/1'");
    let outcome = json!({});
    let pending = fixture.create_approval(&request(None)).expect("stored");
    let refused = fixture.install(&new, &["\"keys\"".to_owned()], Some((pending.id, &outcome)), 1);
    assert!(matches!(refused, Err(StoreError::NotApproved { state: ApprovalState::Pending, .. })));
    assert!(matches!(fixture.install(&new, &[], Some((99, &outcome)), 1), Err(StoreError::NotFound { .. })));
    assert_eq!(fixture.solutions().expect("read"), []);
    assert_eq!(fixture.approval(pending.id).expect("read"), pending);

    // One approval installs once.
    let approval = approved(&fixture);
    fixture.install(&new, &[], Some((approval.id, &outcome)), 1).expect("installed");
    let again = fixture.install(&solution("other", "m/43'/60'/1775'/2'"), &[], Some((approval.id, &outcome)), 1);
    assert!(matches!(again, Err(StoreError::NotApproved { state: ApprovalState::Done, .. })));
    assert_eq!(fixture.solutions().expect("read").len(), 1);
}

#[test]
fn names_and_paths_are_unique_until_a_solution_is_removed() {
    let (fixture, first) = Fixture::with_solution();
    let taken = fixture.install(&solution("payments", "m/43'/60'/1775'/2'"), &[], None, 2);
    assert!(matches!(taken, Err(StoreError::NameTaken { .. })));
    let taken = fixture.install(&solution("other", &first.key_path), &[], None, 2);
    assert!(matches!(taken, Err(StoreError::KeyPathTaken { .. })));
    let nowhere = NewSolution { network: "mainnet".to_owned(), ..solution("other", "m/43'/60'/1775'/2'") };
    assert!(matches!(fixture.install(&nowhere, &[], None, 2), Err(StoreError::NotFound { what: "network", .. })));

    fixture.set_solution_status(first.id, SolutionStatus::Removed).expect("removed");
    assert_eq!(fixture.solution_by_name("payments").expect("read"), None);
    assert_eq!(fixture.solutions().expect("read"), []);
    assert_eq!(fixture.reserved_key_paths().expect("read"), [(first.id, first.key_path.clone())]);
    let second = fixture.install(&first.spec, &[], None, 3).expect("the same package may come back");
    assert!(second.id > first.id, "an id is never used twice");
    assert_eq!(fixture.reserved_key_paths().expect("read").len(), 2);
}

#[test]
fn removal_is_final_and_suspension_is_not() {
    let (fixture, solution) = Fixture::with_solution();
    for status in [SolutionStatus::Suspended, SolutionStatus::Active, SolutionStatus::Removed] {
        fixture.set_solution_status(solution.id, status).expect("set");
        assert_eq!(fixture.solution(solution.id).expect("read").expect("there").status, status);
    }
    let back = fixture.set_solution_status(solution.id, SolutionStatus::Active);
    assert!(matches!(back, Err(StoreError::NotFound { .. })));
    assert!(matches!(fixture.set_solution_status(99, SolutionStatus::Active), Err(StoreError::NotFound { .. })));
}

#[test]
fn grants_come_and_go_and_keep_their_times() {
    let (fixture, solution) = Fixture::with_solution();
    let id = solution.id;
    fixture.add_grant(id, "\"a\"", 10).expect("granted");
    fixture.add_grant(id, "\"a\"", 20).expect("granted twice");
    fixture.add_grant(id, "\"b\"", 20).expect("granted");
    fixture.revoke_grant(id, "\"a\"", 30).expect("revoked");
    fixture.revoke_grant(id, "\"a\"", 40).expect("revoked twice");
    assert_eq!(fixture.active_grants(id).expect("read"), ["\"b\""]);
    let grant = |permission: &str, granted_at, revoked_at| Grant {
        solution: id,
        permission: permission.to_owned(),
        granted_at,
        revoked_at,
    };
    assert_eq!(fixture.grants(id).expect("read"), [grant("\"a\"", 10, Some(30)), grant("\"b\"", 20, None)]);
    fixture.add_grant(id, "\"a\"", 50).expect("granted again");
    assert_eq!(fixture.grants(id).expect("read")[1], grant("\"a\"", 50, None));
    assert!(matches!(fixture.revoke_grant(id, "\"c\"", 60), Err(StoreError::NotFound { .. })));
}
