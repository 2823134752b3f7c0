//! Deployment: bounds of the parameters, the ABI, ERC-165, sizes.

use alloy::primitives::{Address, U256, fixed_bytes};
use alloy::sol_types::SolCall;
use payments_contract::{Deployment, ILayer2Gateway, PaymentsGateway as Gateway, creation_code, runtime_code};

use crate::chain::{Chain, passed, refused};
use crate::world::{CHALLENGE, ETH, FORCE, MIN_BOND, World};

const DAY: u64 = 86_400;

#[tokio::test]
async fn parameters_within_their_bounds() {
    let operator = Address::repeat_byte(1);
    let public = Deployment { operator, challenge: 7 * DAY, force: DAY, min_bond: MIN_BOND };
    let local = Deployment { operator, challenge: 1, force: 1, min_bond: 0 };
    for (chain_id, least) in [(31337, local), (1337, local), (1, public), (11_155_111, public)] {
        let chain = Chain::start(chain_id).await;
        let sender = Address::repeat_byte(2);
        chain.set_balance(sender, 100 * ETH).await;
        let deploy =
            async |deployment: &Deployment| chain.send(sender, None, 0, creation_code(deployment).unwrap()).await;
        let bad = async |deployment: Deployment| refused::<Gateway::BadParameter>(deploy(&deployment).await).name;
        passed(deploy(&least).await);
        passed(deploy(&Deployment { challenge: 60 * DAY, force: 60 * DAY, ..least }).await);
        assert_eq!(bad(Deployment { operator: Address::ZERO, ..least }).await, "operator");
        assert_eq!(bad(Deployment { challenge: least.challenge - 1, ..least }).await, "challenge");
        assert_eq!(bad(Deployment { challenge: 60 * DAY + 1, ..least }).await, "challenge");
        assert_eq!(bad(Deployment { force: least.force - 1, ..least }).await, "force");
        assert_eq!(bad(Deployment { force: 60 * DAY + 1, ..least }).await, "force");
        if least.min_bond > 0 {
            assert_eq!(bad(Deployment { min_bond: least.min_bond - 1, ..least }).await, "minBond");
        }
    }
}

#[tokio::test]
async fn a_new_gateway() {
    let world = World::with_operator(crate::world::person("operator").address).await;
    assert_eq!(world.view(Gateway::OPERATORCall {}).await, world.operator);
    assert_eq!(world.view(Gateway::CHALLENGECall {}).await, CHALLENGE);
    assert_eq!(world.view(Gateway::FORCECall {}).await, FORCE);
    assert_eq!(world.view(Gateway::MIN_BONDCall {}).await, MIN_BOND);
    assert_eq!(world.view(Gateway::DOMAIN_SEPARATORCall {}).await, world.domain.separator());
    let numbers = [
        (world.view(Gateway::MAX_CHUNKCall {}).await, payments_contract::MAX_CHUNK),
        (world.view(Gateway::MAX_CHUNKSCall {}).await, payments_contract::MAX_CHUNKS),
        (world.view(Gateway::RECORD_SIZECall {}).await, payments_contract::RECORD_SIZE),
        (world.view(Gateway::nextIdCall {}).await, 1),
        (world.view(Gateway::finalisedIdCall {}).await, 0),
        (world.view(Gateway::bondBalanceCall {}).await, 0),
    ];
    for (found, expected) in numbers {
        assert_eq!(found, U256::from(expected));
    }
    let genesis = world.view(Gateway::batchesCall { id: U256::ZERO }).await;
    assert!(genesis.commitment.is_zero() && genesis.root.is_zero() && genesis.time == 0 && genesis.inboxEnd == 0);
    assert!(world.view(Gateway::isFinalCall { id: U256::ZERO }).await);
    assert!(!world.view(Gateway::isContestableCall { id: U256::ZERO }).await);
    assert!(!world.halted().await);
    let due = world.view(Gateway::dueTimeCall {}).await;
    assert_eq!((due.index, due.time), (0, 0));
}

#[tokio::test]
async fn erc_165() {
    let world = World::new().await;
    let supports = async |interface_id| world.view(Gateway::supportsInterfaceCall { interfaceId: interface_id }).await;
    let selectors = [
        ILayer2Gateway::depositCall::SELECTOR,
        ILayer2Gateway::requestExitCall::SELECTOR,
        ILayer2Gateway::lockedBalanceCall::SELECTOR,
    ];
    let standard = selectors.map(alloy::primitives::FixedBytes::from).into_iter().reduce(|a, b| a ^ b).unwrap();
    assert!(supports(standard).await);
    assert!(supports(fixed_bytes!("01ffc9a7")).await);
    assert!(!supports(fixed_bytes!("ffffffff")).await);
    assert!(!supports(fixed_bytes!("00000000")).await);
}

#[test]
fn code_fits() {
    let size = runtime_code().unwrap().len();
    println!("deployed code: {size} bytes");
    assert!(size <= 24_576, "EIP-170");
}
