use super::*;
use crate::tests::{Fixture, solution};

#[test]
fn indices_count_up_per_solution_and_survive_a_restart() {
    let (fixture, first) = Fixture::with_solution();
    let second = fixture.install(&solution("other", "m/43'/60'/1775'/2'"), &[], None, 2).expect("installed");
    assert_eq!(fixture.account_indices(first.id).expect("read"), [0; 0]);
    for expect in 0..3 {
        assert_eq!(fixture.next_account_index(first.id, 5).expect("an index"), expect);
    }
    assert_eq!(fixture.next_account_index(second.id, 5).expect("an index"), 0);
    let fixture = fixture.reopen();
    assert_eq!(fixture.next_account_index(first.id, 6).expect("an index"), 3);
    assert_eq!(fixture.account_indices(first.id).expect("read"), [0, 1, 2, 3]);
    assert_eq!(fixture.account_indices(second.id).expect("read"), [0]);
}

#[test]
fn an_index_asked_for_by_number_is_never_the_next_one() {
    let (fixture, solution) = Fixture::with_solution();
    fixture.note_account_index(solution.id, 1, 5).expect("noted");
    fixture.note_account_index(solution.id, 1, 6).expect("noted again");
    fixture.note_account_index(solution.id, END - 1, 6).expect("noted");
    assert!(matches!(fixture.note_account_index(solution.id, END, 6), Err(StoreError::AccountsExhausted { .. })));
    for expect in [0, 2, 3] {
        assert_eq!(fixture.next_account_index(solution.id, 7).expect("an index"), expect);
    }
    assert_eq!(fixture.account_indices(solution.id).expect("read"), [0, 1, 2, 3, END - 1]);
}

#[test]
fn a_solution_that_is_not_there_gets_no_account() {
    let fixture = Fixture::new();
    assert!(matches!(fixture.next_account_index(99, 1), Err(StoreError::Database(_))));
}
