use serde_json::json;

use super::*;
use crate::tests::Fixture;
use crate::{CallerGrantFilter, PolicyFilter};

fn profile(name: &str, key: u8) -> Profile {
    Profile { name: name.to_owned(), public_key: vec![key; 65], paired_at: 5 }
}

fn app(name: &str, digest: u8) -> App {
    App { name: name.to_owned(), secret_digest: vec![digest; 32], added_at: 5 }
}

fn active(fixture: &Fixture) -> Vec<String> {
    let filter = CallerGrantFilter { active_at: Some(50), ..Default::default() };
    fixture.caller_grants(&filter).expect("read").into_iter().map(|grant| grant.caller).collect()
}

#[test]
fn names_keys_and_secrets_belong_to_one() {
    let fixture = Fixture::new();
    fixture.put_profile(&profile("chromium", 1)).expect("stored");
    fixture.put_app(&app("forge", 1)).expect("stored");
    for taken in [profile("chromium", 2), profile("other", 1)] {
        assert!(matches!(fixture.put_profile(&taken), Err(StoreError::PeerTaken { what: "browser profile", .. })));
    }
    for taken in [app("forge", 2), app("other", 1)] {
        assert!(matches!(fixture.put_app(&taken), Err(StoreError::PeerTaken { what: "local app", .. })));
    }
    let fixture = fixture.reopen();
    assert_eq!(fixture.profiles().expect("read"), [profile("chromium", 1)]);
    assert_eq!(fixture.profile_of(&[1; 65]).expect("read"), Some(profile("chromium", 1)));
    assert_eq!(fixture.profile_of(&[2; 65]).expect("read"), None);
    assert_eq!(fixture.apps().expect("read"), [app("forge", 1)]);
    assert_eq!(fixture.app("forge").expect("read"), Some(app("forge", 1)));
    assert_eq!(fixture.app("other").expect("read"), None);
}

#[test]
fn what_a_peer_was_granted_ends_with_it_and_nothing_else_does() {
    let (fixture, solution) = Fixture::with_solution();
    fixture.put_profile(&profile("c", 1)).expect("stored");
    fixture.put_app(&app("forge", 1)).expect("stored");
    let callers = [
        "site:c:https://a.example",
        "site:c:https://b.example",
        "site:c2:https://a.example",
        "app:forge",
        "app:forge2",
    ];
    for caller in callers {
        fixture.put_caller_grant(caller, solution.id, &json!({}), None, None, 10).expect("granted");
        fixture.put_policy(caller, solution.id, &json!({}), None, 10).expect("stored");
    }
    fixture.remove_profile("c", Callers::Prefix("site:c:"), 20).expect("removed");
    assert_eq!(active(&fixture), ["site:c2:https://a.example", "app:forge", "app:forge2"]);
    fixture.remove_app("forge", Callers::One("app:forge"), 30).expect("removed");
    assert_eq!(active(&fixture), ["site:c2:https://a.example", "app:forge2"]);
    let filter = PolicyFilter { state: Some(PolicyState::Active), ..Default::default() };
    let left: Vec<_> = fixture.policies(&filter).expect("read").into_iter().map(|policy| policy.caller).collect();
    assert_eq!(left, ["site:c2:https://a.example", "app:forge2"]);
    assert!(matches!(
        fixture.remove_profile("c", Callers::Prefix("site:c:"), 40),
        Err(StoreError::NotFound { what: "browser profile", .. })
    ));
    assert!(matches!(fixture.remove_app("forge", Callers::One("app:forge"), 40), Err(StoreError::NotFound { .. })));
    fixture.put_profile(&profile("c", 3)).expect("the name is free again");
}
