use serde_json::json;

use super::*;
use crate::tests::{Fixture, request};
use crate::{ApprovalState, PolicyState};

/// A store with policy 1.
fn fixture() -> Fixture {
    let (fixture, solution) = Fixture::with_solution();
    fixture.put_policy("app:a", solution.id, &json!({}), None, 1).expect("stored");
    fixture
}

fn reservation(subject: &str, amount: &str, fee: &str) -> NewReservation {
    let (amount, fee) = (amount.to_owned(), fee.to_owned());
    NewReservation { policy: 1, subject: subject.to_owned(), amount, fee, token: None, detail: json!({}) }
}

fn sum(amount: &str, fee: &str, count: u64) -> WindowSum {
    WindowSum { amount: amount.to_owned(), fee: fee.to_owned(), count }
}

#[test]
fn a_window_counts_what_is_open_and_what_was_settled_in_it() {
    let fixture = fixture();
    let window = |fixture: &Fixture, since| fixture.policy_window(1, None, since).expect("read");
    let most = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
    fixture.reserve(&[reservation("a", most, "5")], |_| Ok(()), 10).expect("reserved");
    let token = NewReservation { token: Some("0x70".to_owned()), ..reservation("b", "7", "1") };
    fixture.reserve(&[token], |_| Ok(()), 20).expect("reserved");
    assert_eq!(window(&fixture, 1_000), sum(most, "6", 2), "open ones count however old; fees whatever the token");
    assert_eq!(fixture.policy_window(1, Some("0x70"), 0).expect("read"), sum("7", "6", 2));

    assert_eq!(fixture.settle_reservations("a", Some("3"), Some("2"), 50).expect("settled"), 1);
    assert_eq!(fixture.settle_reservations("a", Some("9"), None, 60).expect("settled already"), 0);
    assert_eq!(window(&fixture, 50), sum("3", "3", 2));
    assert_eq!(window(&fixture, 51), sum("0", "1", 1), "it counts from its end");
    assert_eq!(fixture.release_reservations("a", 60).expect("settled already"), 0);
    assert_eq!(fixture.release_reservations("b", 60).expect("released"), 1);
    assert_eq!(window(&fixture, 0), sum("3", "2", 1));
    assert_eq!(fixture.open_reservations().expect("read"), []);
    assert_eq!(fixture.settle_reservations("b", None, None, 70).expect("it happened after all"), 1);
    let fixture = fixture.reopen();
    assert_eq!(window(&fixture, 70), sum("0", "1", 1));
    let all = fixture.reservations(1, 9).expect("read");
    assert_eq!(all.iter().map(|one| (one.id, one.ended_at)).collect::<Vec<_>>(), [(2, Some(70)), (1, Some(50))]);
    assert_eq!(fixture.reservations(1, 1).expect("read").len(), 1);
}

#[test]
fn all_or_none_and_once_for_each_subject() {
    let fixture = fixture();
    let second = fixture.put_policy("app:b", 1, &json!({}), None, 1).expect("stored").id;
    let both = |subject| {
        let one = reservation(subject, "1", "1");
        [one.clone(), NewReservation { policy: second, ..one }]
    };
    let ids = fixture.reserve(&both("a"), |_| Ok(()), 10).expect("reserved");
    let again = fixture.reserve(&both("a"), |_| Err("not asked".to_owned()), 20);
    assert_eq!(again.expect("the same once more"), ids);

    let refused = fixture.reserve(&both("b"), |_| Err("too much".to_owned()), 20);
    assert!(matches!(refused, Err(StoreError::PolicyRefused { ref reason }) if reason == "too much"));
    let number = fixture.reserve(&[reservation("b", "0x1", "1")], |_| Ok(()), 20);
    assert!(matches!(number, Err(StoreError::BadAmount { .. })));
    fixture.set_policy_state(second, PolicyState::Paused, None, 20).expect("paused");
    let paused = fixture.reserve(&both("b"), |_| Ok(()), 20);
    assert!(matches!(paused, Err(StoreError::PolicyInactive { id }) if id == second));
    let missing = fixture.reserve(&[NewReservation { policy: 9, ..reservation("b", "1", "1") }], |_| Ok(()), 20);
    assert!(matches!(missing, Err(StoreError::NotFound { what: "policy", .. })));
    assert_eq!(fixture.open_reservations().expect("read").len(), 2, "nothing of the refused ones is there");

    fixture.release_reservations("a", 30).expect("released");
    let given_up = fixture.reserve(&both("a"), |_| Ok(()), 40);
    assert!(matches!(given_up, Err(StoreError::ReservationReleased { .. })), "an effect needs a subject of its own");
}

#[test]
fn what_passes_is_stored_approved_with_its_reservations_or_not_at_all() {
    let fixture = fixture();
    let pass = |key, check: Result<(), String>| {
        fixture.create_decided_approval(&request(Some(key)), "policy 1", &[reservation("x", "1", "1")], |_| check, 5)
    };
    assert!(matches!(pass("a", Err("no".to_owned())), Err(StoreError::PolicyRefused { .. })));
    assert_eq!(fixture.approval_by_request_key("a").expect("read"), None);
    let approval = pass("a", Ok(())).expect("passed");
    assert_eq!((approval.state, approval.decided_by.as_deref()), (ApprovalState::Approved, Some("policy 1")));
    assert_eq!(pass("a", Err("not asked".to_owned())).expect("known"), approval);
    let open = fixture.open_reservations().expect("read");
    assert_eq!(open.iter().map(|one| one.subject.clone()).collect::<Vec<_>>(), [format!("approval:{}", approval.id)]);
    assert_eq!(fixture.open_approved().expect("read"), [approval], "a start after a crash resumes it");
    // By rule, without a policy.
    fixture.create_decided_approval(&request(None), "defend", &[], |_| Err("not asked".to_owned()), 6).expect("passed");
}

#[test]
fn threads_cannot_both_take_the_last_that_fits() {
    let fixture = fixture();
    let store = &fixture.store;
    let fits = |view: &ReservationView<'_>| {
        let sum = view.window(1, None, 0).map_err(|error| error.to_string())?;
        if sum.count < 10 { Ok(()) } else { Err("ten are enough".to_owned()) }
    };
    let take = |thread: usize| {
        let subjects = (0..10).map(|n| format!("{thread}/{n}"));
        subjects.filter(|subject| store.reserve(&[reservation(subject, "1", "0")], fits, 5).is_ok()).count()
    };
    let taken: usize = std::thread::scope(|scope| {
        let take = &take;
        let threads: Vec<_> = (0..4).map(|thread| scope.spawn(move || take(thread))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!((taken, fixture.policy_window(1, None, 0).expect("read")), (10, sum("10", "0", 10)));
}
