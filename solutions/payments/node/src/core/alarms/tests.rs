use super::*;
use crate::chain::testing::{Layer1, User};
use crate::core::Setup;
use crate::store::SqliteStore;

#[test]
fn an_item_that_a_roll_back_gave_grace_is_late_only_when_that_is_over() {
    let mut layer1 = Layer1::new();
    layer1.mine(Vec::new());
    layer1.deposit(User::new(1).address, 5);
    // FORCE are 1 000 seconds, a block is twelve: the last one lies 1 092 seconds after the beginning.
    for _ in 0..90 {
        layer1.mine(Vec::new());
    }
    let said = |grace: &[(u64, u64)]| {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&folder.path().join("data")).expect("a store");
        let setup = Setup { role: Role::Replica, key: None, confirmations: 1, batch_age_ms: 0, misbehave: None };
        let (mut core, _) = Core::load(setup, layer1.fresh(), Box::new(store)).expect("loaded");
        assert!(core.item_is_late(), "so that the gateway is asked");
        for grace in grace {
            core.alarm_at_age(*grace);
        }
        core.said.item
    };
    assert_eq!(said(&[(0, 0)]), Some((0, Age::Over)));
    // The item is below the end of the grace, and its time is the roll-back's.
    assert_eq!(said(&[(600, 1)]), None);
    assert_eq!(said(&[(500, 1)]), Some((0, Age::Half)));
    // A grace of items before it, or of long ago.
    assert_eq!(said(&[(600, 0)]), Some((0, Age::Over)));
    assert_eq!(said(&[(10, 1)]), Some((0, Age::Over)));
    // Late by half, and later by all: each is said.
    assert_eq!(said(&[(500, 1), (20, 1)]), Some((0, Age::Over)));
}
