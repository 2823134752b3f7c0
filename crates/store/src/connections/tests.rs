use serde_json::json;

use super::*;
use crate::Decision;
use crate::tests::{Fixture, request};

fn sees(caller: &str, accounts: &[u32], network: Option<&str>) -> CallerConnection {
    CallerConnection {
        caller: caller.into(),
        accounts: accounts.to_vec(),
        network: network.map(Into::into),
        changed_at: 10,
    }
}

#[test]
fn a_caller_sees_what_was_set_last_and_each_caller_its_own() {
    let fixture = Fixture::new();
    assert_eq!(fixture.caller_connection("app:a").expect("read"), None);
    fixture.put_connection(&sees("app:a", &[0, 3], None), None).expect("stored");
    fixture.put_connection(&sees("app:b", &[], Some("dev")), None).expect("stored");
    fixture.put_connection(&sees("app:a", &[1], Some("dev")), None).expect("stored");
    let fixture = fixture.reopen();
    assert_eq!(fixture.caller_connection("app:a").expect("read"), Some(sees("app:a", &[1], Some("dev"))));
    let all = fixture.caller_connections().expect("read");
    assert_eq!(all.iter().map(|one| one.caller.as_str()).collect::<Vec<_>>(), ["app:a", "app:b"]);
}

#[test]
fn one_approval_connects_once() {
    let fixture = Fixture::new();
    let approval = fixture.create_approval(&request(None)).expect("stored").id;
    let outcome = json!({ "accounts": [0] });
    let put = || fixture.put_connection(&sees("app:a", &[0], None), Some((approval, &outcome)));
    assert!(matches!(put(), Err(StoreError::NotApproved { .. })), "not before it is approved");
    assert_eq!(fixture.caller_connection("app:a").expect("read"), None, "nothing was changed");
    fixture.decide_approval(approval, "0xabcd", Decision::Approve, &json!(null), "user", 1_500).expect("decided");
    put().expect("connected");
    assert!(matches!(put(), Err(StoreError::NotApproved { .. })), "not twice");
    assert_eq!(fixture.approval(approval).expect("read").outcome, Some(outcome.clone()));
}
