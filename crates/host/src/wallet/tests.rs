use super::*;
use std::collections::BTreeSet;

#[test]
fn every_method_stands_once_and_what_asks_is_not_for_callers_while_locked() {
    let names: BTreeSet<_> = WALLET_METHODS.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), WALLET_METHODS.len());
    for row in WALLET_METHODS {
        assert!((row.sample)().is_object(), "{}: parameters are an object by name", row.name);
        assert!(row.effect != Effect::Asks || row.while_locked != WhileLocked::Works, "{}", row.name);
        // What asks, or uses keys, is a permission; the glue sends each by this very name.
        let name = row.name.strip_prefix("wallet.").unwrap_or(row.name);
        assert!(include_str!("../plugin/glue.js").contains(&format!("\"{}\"", row.name)), "the glue knows no {name}");
    }
}

#[test]
fn row_26_calls_that_only_read_cause_nothing() {
    let cause =
        |read_only| Cause { caller: "x".into(), key: "app:x".into(), action: "a".into(), call_id: None, read_only };
    assert!(refuse_read_only(&[], "deposit").is_ok(), "a hook");
    assert!(refuse_read_only(&[cause(true), cause(false)], "deposit").is_ok());
    assert_eq!(refuse_read_only(&[cause(true), cause(true)], "deposit").expect_err("refused").code, code::UNAUTHORIZED);
}
