use std::collections::BTreeSet;

use alloy::primitives::{B256, FixedBytes};

use crate::PaymentsGateway::{PaymentsGatewayCalls, PaymentsGatewayErrors, PaymentsGatewayEvents};
use crate::*;

fn sorted<const N: usize>(selectors: impl IntoIterator<Item = impl Into<FixedBytes<N>>>) -> BTreeSet<FixedBytes<N>> {
    selectors.into_iter().map(Into::into).collect()
}

#[test]
fn bindings_are_those_of_the_artifact() {
    let abi = abi().unwrap();
    let functions = abi.functions().map(|function| function.selector());
    assert_eq!(sorted::<4>(functions), sorted(PaymentsGatewayCalls::SELECTORS.iter().copied()));
    let errors = abi.errors().map(|error| error.selector());
    assert_eq!(sorted::<4>(errors), sorted(PaymentsGatewayErrors::SELECTORS.iter().copied()));
    let events = abi.events().map(|event| event.selector());
    assert_eq!(sorted::<32>(events), sorted(PaymentsGatewayEvents::SELECTORS.iter().copied().map(B256::from)));
    let constructor = abi.constructor().unwrap();
    let types: Vec<_> = constructor.inputs.iter().map(|input| input.ty.as_str()).collect();
    assert_eq!(types, ["address", "uint64", "uint64", "uint128"]);
}

#[test]
fn creation_code_ends_with_the_parameters() {
    let deployment = Deployment {
        operator: alloy::primitives::Address::repeat_byte(0x11),
        challenge: 0x22,
        force: 0x33,
        min_bond: 0x44,
    };
    let code = creation_code(&deployment).unwrap();
    let words: Vec<_> = code[code.len() - 128..].chunks(32).map(B256::from_slice).collect();
    let expected = [
        deployment.operator.into_word(),
        B256::with_last_byte(0x22),
        B256::with_last_byte(0x33),
        B256::with_last_byte(0x44),
    ];
    assert_eq!(words, expected);
    assert!(code.len() - 128 > runtime_code().unwrap().len());
}
