//! Who may say where an exit goes.

use super::*;
use crate::testing::{domain, person};

#[test]
fn only_the_account_can_send_its_exit_elsewhere() {
    let (account, recipient) = (person(1).address, person(2).address);
    let claim = ClaimTo { account, recipient, claimed_before: 0, claimed_after: 10 };
    let signature = claim.sign(&domain(), &person(1).key);
    assert_eq!(claim.is_signed(&domain(), &signature), Ok(true));
    assert_eq!(claim.is_signed(&domain(), &claim.sign(&domain(), &person(2).key)), Ok(false));
    for other in [
        ClaimTo { recipient: person(3).address, ..claim },
        ClaimTo { claimed_before: 1, ..claim },
        ClaimTo { claimed_after: 11, ..claim },
    ] {
        assert_eq!(other.is_signed(&domain(), &signature), Ok(false));
    }
}

#[test]
fn what_can_be_claimed() {
    let leaf = Leaf { balance: 5, withdrawn: 7, ..Default::default() };
    assert_eq!((claimable(&leaf, false), claimable(&leaf, true)), (7, 12));
    let full = Leaf { balance: u128::MAX, ..leaf };
    assert_eq!(claimable(&full, true), u128::MAX);
}
