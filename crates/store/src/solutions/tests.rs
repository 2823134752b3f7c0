use serde_json::json;

use super::*;
use crate::tests::{Fixture, request, solution};
use crate::{Approval, CallerGrantFilter, Decision, PolicyState};

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

#[test]
fn an_update_is_one_write_with_all_that_follows_from_it() {
    let (fixture, solution) = Fixture::with_solution();
    let id = solution.id;
    fixture.add_grant(id, "\"old\"", 10).expect("granted");
    let rule = |action: &str| json!({ "actions": [action] });
    let pays = fixture.put_policy("app:a", id, &rule("pay"), None, 11).expect("stored").id;
    let reads = fixture.put_policy("app:a", id, &rule("read"), None, 11).expect("stored").id;
    fixture.put_caller_grant("app:a", id, &json!(["pay", "read"]), Some(99), None, 12).expect("granted");
    fixture.put_caller_grant("app:b", id, &json!(["pay"]), None, None, 12).expect("granted");
    fixture.put_caller_grant("app:c", id, &json!(["read"]), None, None, 12).expect("granted");
    let update = SolutionUpdate {
        from_sha512: solution.package_sha512.clone(),
        title: "Newer".to_owned(),
        package_version: "2.0.0".to_owned(),
        package_sha512: "02".to_owned(),
        package_dir: "packages/02".to_owned(),
        interface_digest: "0x02".to_owned(),
        interface: json!({ "actions": [] }),
        manifest: json!({ "title": "Newer" }),
        granted: vec!["\"new\"".to_owned()],
        revoked: vec!["\"old\"".to_owned()],
        reason: "pay has changed".to_owned(),
        note: (format!("updated:{id}"), json!({ "fromVersion": "1.0.0" })),
    };
    let pauses = |rule: &Value| rule["actions"][0] == "pay";
    let narrows = |caveats: &Value| {
        let names = caveats.as_array().expect("a list");
        let left: Vec<_> = names.iter().filter(|name| **name != "pay").collect();
        (left.len() < names.len()).then(|| (!left.is_empty()).then(|| json!(left)))
    };
    let consent = Consent { pauses: &pauses, narrows: &narrows };
    let outcome = json!({ "solution": "payments" });

    let approval = approved(&fixture);
    let stale = SolutionUpdate { from_sha512: "ff".to_owned(), ..update.clone() };
    let refused = fixture.update_solution(id, &stale, &consent, (approval.id, &outcome), 20);
    assert!(matches!(refused, Err(StoreError::SolutionChanged { .. })));
    assert_eq!(fixture.solution(id).expect("read"), Some(solution.clone()), "nothing was changed");

    let (after, paused) = fixture.update_solution(id, &update, &consent, (approval.id, &outcome), 20).expect("updated");
    assert_eq!((after.package_version.as_str(), after.title.as_str(), paused), ("2.0.0", "Newer", 1));
    assert_eq!(
        (&after.name, &after.key_path, after.from_block),
        (&solution.name, &solution.key_path, solution.from_block)
    );
    let holds = fixture.active_grants(id).expect("read");
    assert!(holds.contains(&"\"new\"".to_owned()) && !holds.contains(&"\"old\"".to_owned()), "{holds:?}");
    let state = |policy| fixture.policy(policy).expect("read");
    assert_eq!((state(pays).state, state(pays).reason.as_deref()), (PolicyState::Paused, Some("pay has changed")));
    assert_eq!(state(reads).state, PolicyState::Active);
    let active = CallerGrantFilter { active_at: Some(20), ..CallerGrantFilter::default() };
    let left: Vec<_> =
        fixture.caller_grants(&active).expect("read").into_iter().map(|g| (g.caller, g.caveats)).collect();
    assert_eq!(left, [("app:c".to_owned(), json!(["read"])), ("app:a".to_owned(), json!(["read"]))]);
    assert_eq!(fixture.approval(approval.id).expect("read").state, ApprovalState::Done);

    // The older note stays until somebody has read it.
    let again = SolutionUpdate {
        from_sha512: "02".to_owned(),
        package_sha512: "03".to_owned(),
        note: (format!("updated:{id}"), json!({ "fromVersion": "2.0.0" })),
        ..update
    };
    let used = fixture.update_solution(id, &again, &consent, (approval.id, &outcome), 21);
    assert!(matches!(used, Err(StoreError::NotApproved { .. })), "one approval updates once");
    let next = approved(&fixture);
    fixture.update_solution(id, &again, &consent, (next.id, &outcome), 21).expect("updated");
    let note = |key: &str| fixture.meta(key).expect("read");
    assert_eq!(note(&format!("updated:{id}")), Some(json!({ "fromVersion": "1.0.0" })));
}
