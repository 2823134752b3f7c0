use std::collections::BTreeSet;

use alloy::primitives::{B256, FixedBytes};
use alloy::sol_types::{SolCall, SolEvent};

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

/// `docs/erc-layer2-gateway.md` says selectors, topic and interface id as the bindings have them.
#[test]
fn the_standard_interface_is_as_written_up() {
    let page = include_str!("../../../../docs/erc-layer2-gateway.md");
    let selectors = [
        (ILayer2Gateway::depositCall::SIGNATURE, ILayer2Gateway::depositCall::SELECTOR),
        (ILayer2Gateway::requestExitCall::SIGNATURE, ILayer2Gateway::requestExitCall::SELECTOR),
        (ILayer2Gateway::lockedBalanceCall::SIGNATURE, ILayer2Gateway::lockedBalanceCall::SELECTOR),
    ];
    let mut id = FixedBytes::<4>::ZERO;
    for (signature, selector) in selectors {
        let selector = FixedBytes::from(selector);
        id ^= selector;
        assert!(page.contains(&format!("| `{signature}` | selector `{selector}` |")), "{signature}: {selector}");
    }
    assert!(page.contains(&format!("| interface id (exclusive or of the selectors) | `{id}` |")), "{id}");
    let (signature, topic) = (ILayer2Gateway::Deposited::SIGNATURE, ILayer2Gateway::Deposited::SIGNATURE_HASH);
    assert!(page.contains(&format!("| `{signature}` | topic 0 `{topic}` |")), "{signature}: {topic}");
    assert_eq!(PaymentsGateway::Deposited::SIGNATURE_HASH, topic);
}

/// What the wallet takes a gateway to be when a manifest says nothing of its ABI is the interface of this crate.
#[test]
fn a_manifest_without_an_abi_means_the_standard_interface() {
    let manifest = serde_json::json!({
        "apiVersion": 1, "title": "Standard", "contracts": { "gateway": {} }
    });
    let manifest = entresol_package::Manifest::from_json(&manifest).unwrap();
    let gateway = &manifest.contracts["gateway"];
    let functions = gateway.all_functions().unwrap();
    let found: BTreeSet<_> = functions.iter().map(alloy::json_abi::Function::selector).collect();
    let selectors = [
        ILayer2Gateway::depositCall::SELECTOR,
        ILayer2Gateway::requestExitCall::SELECTOR,
        ILayer2Gateway::lockedBalanceCall::SELECTOR,
    ];
    assert_eq!(found, sorted::<4>(selectors));
    let events: Vec<_> = gateway.events().unwrap().iter().map(alloy::json_abi::Event::selector).collect();
    assert_eq!(events, [ILayer2Gateway::Deposited::SIGNATURE_HASH]);
}
