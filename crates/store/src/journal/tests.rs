use serde_json::json;

use super::*;
use crate::tests::Fixture;

fn intent(solution: Option<SolutionId>, action: &str) -> JournalIntent {
    JournalIntent {
        solution,
        actor: "plugin".to_owned(),
        action: action.to_owned(),
        resource: "gateway".to_owned(),
        detail: json!({ "value": "1" }),
    }
}

#[test]
fn a_crash_leaves_the_intent_open() {
    let fixture = Fixture::new();
    let done = fixture.journal_intent(&intent(Some(1), "deposit"), 10).expect("noted");
    fixture.journal_outcome(done, &json!({ "ok": true }), 20).expect("noted");
    let open = fixture.journal_intent(&intent(None, "add"), 30).expect("noted");
    let fixture = fixture.reopen();
    let all =
        fixture.journal(&JournalFilter { limit: Some(10), solution: None, ..JournalFilter::default() }).expect("read");
    assert_eq!(all.iter().map(|entry| entry.id).collect::<Vec<_>>(), [open, done], "newest first");
    assert_eq!((all[0].finished_at, &all[0].result, &all[0].intent), (None, &None, &intent(None, "add")));
    assert_eq!((all[1].started_at, all[1].finished_at, &all[1].result), (10, Some(20), &Some(json!({ "ok": true }))));
    assert_eq!(
        fixture
            .journal(&JournalFilter { limit: Some(10), solution: Some(1), ..JournalFilter::default() })
            .expect("read")
            .len(),
        1
    );
    assert_eq!(
        fixture
            .journal(&JournalFilter { limit: Some(1), solution: None, ..JournalFilter::default() })
            .expect("read")
            .len(),
        1
    );
    assert!(matches!(fixture.journal_outcome(99, &json!(null), 40), Err(StoreError::NotFound { .. })));
}

#[test]
fn rows_are_filtered_and_paged() {
    let fixture = Fixture::new();
    let rows = [(10, Some(1), "deposit"), (20, None, "add"), (30, Some(1), "withdraw"), (40, Some(2), "deposit")];
    for (at, solution, action) in rows {
        fixture.journal_intent(&intent(solution, action), at).expect("noted");
    }
    let check = |filter: JournalFilter, expect: &[u64]| {
        let found: Vec<_> = fixture.journal(&filter).expect("read").iter().map(|entry| entry.id).collect();
        assert_eq!(found, expect, "{filter:?}");
    };
    let all = JournalFilter::default;
    check(all(), &[4, 3, 2, 1]);
    check(JournalFilter { since: Some(20), until: Some(40), ..all() }, &[3, 2]);
    check(JournalFilter { action: Some("deposit".to_owned()), ..all() }, &[4, 1]);
    check(JournalFilter { action: Some("deposit".to_owned()), solution: Some(1), ..all() }, &[1]);
    check(JournalFilter { actor: Some("user".to_owned()), ..all() }, &[]);
    check(JournalFilter { before_id: Some(3), limit: Some(1), ..all() }, &[2]);
}

#[test]
fn counts_add_up_and_become_durable_with_the_next_outcome() {
    let fixture = Fixture::new();
    let counter = |name: &str, count| Counter { solution: 1, name: name.to_owned(), count };
    fixture.count(1, "getFromLocalDb", 2);
    fixture.count(1, "getFromLocalDb", 1);
    fixture.count(1, "getAccount", 1);
    fixture.count(2, "getAccount", 5);
    let expect = [counter("getAccount", 1), counter("getFromLocalDb", 3)];
    assert_eq!(fixture.counters(1).expect("read"), expect);
    let id = fixture.journal_intent(&intent(Some(1), "deposit"), 10).expect("noted");
    fixture.journal_outcome(id, &json!({}), 20).expect("noted");
    assert_eq!(fixture.counters(1).expect("read"), expect, "flushed, not counted twice");
    fixture.count(1, "getAccount", 1);
    assert_eq!(fixture.counters(1).expect("read")[0], counter("getAccount", 2));
    let fixture = fixture.reopen();
    assert_eq!(fixture.counters(1).expect("read"), expect, "what was not flushed is gone");
}
