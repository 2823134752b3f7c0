use serde_json::json;

use super::*;
use crate::tests::Fixture;

#[test]
fn notices_are_kept_marked_and_in_the_end_forgotten() {
    let (fixture, solution) = Fixture::with_solution();
    let action = json!({ "open": "x" });
    let first = fixture.add_notice(solution.id, "warning", "act", Some(&action), 10).expect("stored");
    let second = fixture.add_notice(None, "info", "from the wallet", None, 11).expect("stored");
    fixture.read_notice(first).expect("marked");
    let fixture = fixture.reopen();
    let all = fixture.notices(9, false).expect("read");
    assert_eq!(all.iter().map(|notice| (notice.id, notice.read)).collect::<Vec<_>>(), [(second, false), (first, true)]);
    assert_eq!((all[1].solution, &all[1].action), (Some(solution.id), &Some(action)));
    assert_eq!(fixture.notices(9, true).expect("read"), [all[0].clone()]);
    assert!(matches!(fixture.read_notice(99), Err(StoreError::NotFound { .. })));
    assert!(matches!(fixture.add_notice(99, "info", "", None, 12), Err(StoreError::NotFound { .. })));

    (0..NOTICES_KEPT).for_each(|_| assert!(fixture.add_notice(None, "info", "more", None, 20).is_ok()));
    let all = fixture.notices(u32::MAX, false).expect("read");
    assert_eq!(all.len(), NOTICES_KEPT as usize);
    assert!(all.iter().all(|notice| notice.text == "more"), "the oldest are gone");
}
