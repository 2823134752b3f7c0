//! One spelling for every quantity.

use serde::{Deserialize, Serialize};

use crate::{
    Leaf, Witness,
    testing::{funded, person},
};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Quantity(#[serde(with = "super::decimal")] u64);

#[test]
fn quantities_have_one_spelling() {
    assert_eq!(serde_json::to_string(&Quantity(42)).unwrap(), "\"42\"");
    assert_eq!(serde_json::from_str::<Quantity>("\"42\"").unwrap(), Quantity(42));
    for wrong in ["42", "\"042\"", "\"+42\"", "\" 42\"", "\"0x2a\"", "\"\"", "\"-1\"", "\"18446744073709551616\""] {
        assert!(serde_json::from_str::<Quantity>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn witnesses_come_back() {
    let state = funded(&[(1, 5), (2, u128::MAX), (3, 7)]);
    let witness = state.witness(person(2).address);
    assert!(!witness.siblings.is_empty());
    let json = serde_json::to_value(&witness).unwrap();
    assert_eq!(json["balance"], u128::MAX.to_string());
    assert_eq!(json["siblings"][0], witness.siblings[0].to_string());
    assert_eq!(serde_json::from_value::<Witness>(json).unwrap(), witness);
    let leaf: Leaf = witness.leaf();
    assert_eq!(serde_json::from_value::<Leaf>(serde_json::to_value(leaf).unwrap()).unwrap(), leaf);
}
