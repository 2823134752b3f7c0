use super::*;
use crate::tests::{Fixture, solution};

fn put(key: &str, value: &str) -> KvOp {
    KvOp::Put { key: key.to_owned(), value: value.into() }
}

fn expect(key: &str, value: Option<&str>) -> KvOp {
    KvOp::Expect { key: key.to_owned(), value: value.map(Into::into) }
}

fn delete(key: &str) -> KvOp {
    KvOp::Delete { key: key.to_owned() }
}

#[test]
fn values_are_kept_replaced_and_deleted() {
    let (fixture, solution) = Fixture::with_solution();
    let id = solution.id;
    assert_eq!(fixture.kv_get(id, "a").expect("read"), None);
    fixture.kv_put(id, "a", b"one", 100).expect("stored");
    fixture.kv_put(id, "a", &[0, 0xff], 100).expect("replaced");
    fixture.kv_put(id, "", b"", 100).expect("an empty key and value are ones too");
    let fixture = fixture.reopen();
    assert_eq!(fixture.kv_get(id, "a").expect("read"), Some(vec![0, 0xff]));
    assert_eq!(fixture.kv_get(id, "").expect("read"), Some(vec![]));
    fixture.kv_delete(id, "a").expect("deleted");
    fixture.kv_delete(id, "a").expect("deleted twice");
    assert_eq!(fixture.kv_get(id, "a").expect("read"), None);
}

#[test]
fn solutions_do_not_see_one_another() {
    let (fixture, first) = Fixture::with_solution();
    let second = fixture.install(&solution("other", "m/43'/60'/1775'/2'"), &[], None, 2).expect("installed");
    fixture.kv_put(first.id, "key", b"first", 100).expect("stored");
    fixture.kv_put(second.id, "key", b"second", 100).expect("stored");
    fixture.kv_put(second.id, "more", b"second", 100).expect("stored");
    fixture.kv_delete(first.id, "more").expect("nothing to delete");
    assert_eq!(fixture.kv_get(first.id, "key").expect("read"), Some(b"first".to_vec()));
    assert_eq!(fixture.kv_keys(first.id, "").expect("read"), ["key"]);
    fixture.kv_delete_all(first.id).expect("deleted");
    assert_eq!(fixture.kv_keys(first.id, "").expect("read"), [""; 0]);
    assert_eq!((fixture.kv_used(first.id).expect("read"), fixture.kv_used(second.id).expect("read")), (0, 19));
}

#[test]
fn lists_go_by_prefix_literally() {
    let (fixture, solution) = Fixture::with_solution();
    let id = solution.id;
    for key in ["b", "a/2", "a/1", "a", "A/1", "a%", "a_x", "aé", "ab", "*"] {
        fixture.kv_put(id, key, key.as_bytes(), 1_000).expect("stored");
    }
    let check = |prefix: &str, expect: &[&str]| {
        assert_eq!(fixture.kv_keys(id, prefix).expect("read"), expect, "{prefix:?}");
        let entries = fixture.kv_list(id, prefix).expect("read");
        assert_eq!(entries.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), expect);
        assert!(entries.iter().all(|entry| entry.value == entry.key.as_bytes()));
    };
    check("", &["*", "A/1", "a", "a%", "a/1", "a/2", "a_x", "ab", "aé", "b"]);
    check("a/", &["a/1", "a/2"]);
    check("a%", &["a%"]);
    check("a_", &["a_x"]);
    check("aé", &["aé"]);
    check("*", &["*"]);
    check("c", &[]);
}

#[test]
fn a_batch_is_all_or_nothing() {
    let (fixture, solution) = Fixture::with_solution();
    let id = solution.id;
    fixture.kv_batch(id, &[put("a", "1"), put("b", "2"), delete("c")], 100).expect("written");
    // The last operation fails, and takes the others with it.
    let failed = fixture.kv_batch(id, &[put("a", "9"), delete("b"), expect("a", Some("1"))], 100);
    assert!(matches!(failed, Err(StoreError::ExpectationFailed { ref key }) if key == "a"));
    let over = fixture.kv_batch(id, &[delete("a"), put("c", &"x".repeat(200))], 100);
    assert!(matches!(over, Err(StoreError::QuotaExceeded { .. })));
    let all: Vec<_> =
        fixture.kv_list(id, "").expect("read").into_iter().map(|entry| (entry.key, entry.value)).collect();
    assert_eq!(all, [("a".to_owned(), b"1".to_vec()), ("b".to_owned(), b"2".to_vec())]);
    assert_eq!(fixture.kv_used(id).expect("read"), 4);
}

#[test]
fn expectations_compare_and_set() {
    let (fixture, solution) = Fixture::with_solution();
    let id = solution.id;
    fixture.kv_batch(id, &[expect("n", None), put("n", "1")], 100).expect("absent, as expected");
    assert!(fixture.kv_batch(id, &[expect("n", None), put("n", "2")], 100).is_err());
    fixture.kv_batch(id, &[expect("n", Some("1")), put("n", "2"), expect("n", Some("2"))], 100).expect("in order");
    assert_eq!(fixture.kv_get(id, "n").expect("read"), Some(b"2".to_vec()));
}

#[test]
fn the_quota_counts_keys_and_values_and_lets_a_full_database_shrink() {
    let (fixture, solution) = Fixture::with_solution();
    let id = solution.id;
    fixture.kv_put(id, "key", &[7; 97], 100).expect("exactly the quota");
    assert_eq!(fixture.kv_used(id).expect("read"), 100);
    let over = fixture.kv_put(id, "k", b"", 100);
    assert!(matches!(over, Err(StoreError::QuotaExceeded { used: 101, quota: 100 })));
    fixture.kv_put(id, "key", &[8; 97], 100).expect("replaced by as much");
    fixture.kv_put(id, "key", &[9; 50], 10).expect("smaller, though the quota was lowered");
    assert!(matches!(fixture.kv_put(id, "key", &[9; 51], 10), Err(StoreError::QuotaExceeded { used: 54, quota: 10 })));
    fixture.kv_delete(id, "key").expect("deleted");
    assert_eq!(fixture.kv_used(id).expect("read"), 0);
    // Multi-byte keys count as bytes.
    fixture.kv_put(id, "é", b"", 2).expect("two bytes");
    assert_eq!(fixture.kv_used(id).expect("read"), 2);
}
