//! Out of the layer 2 with a layer-1 endpoint alone.

use alloy::primitives::{Address, U256};
use payments_contract::PaymentsGateway;
use payments_node::{ExitArgs, ExitReport, exit_from_layer1};

use crate::world::{CHALLENGE, CHALLENGER_KEY, ETHER, FORCE, RICH, User, World, start};

fn args(world: &World, account: Address) -> ExitArgs {
    ExitArgs {
        from_layer1: true,
        rpc: world.rpc.clone(),
        gateway: world.gateway,
        account,
        chain_id: Some(31_337),
        from_block: 0,
        final_at: None,
        key_file: None,
    }
}

async fn ask(world: &World, account: Address) -> ExitReport {
    exit_from_layer1(&args(world, account)).await.unwrap_or_else(|error| panic!("{error:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_node_a_withdrawal_is_claimed_and_after_the_halt_the_rest() {
    let world = World::new().await;
    let (operator, client) = start(world.operator_args()).await;
    let (alice, bob) = (User::new(1), User::new(2));
    world.deposit(alice.address, ETHER).await;
    client.until_balance(alice.address, ETHER).await;
    alice.pay(&world, &client, bob.address, ETHER / 4).await;
    client.until_balance(bob.address, ETHER / 4).await;
    bob.withdraw(&world, &client, ETHER / 8).await;
    client.until_balance(bob.address, ETHER / 8).await;
    operator.stop().await.expect("a clean stop");

    // The operator is gone. The withdrawal is in its challenge window.
    let early = ask(&world, bob.address).await;
    assert_eq!(
        (early.claimable.as_str(), early.call.is_some(), early.balance.as_str()),
        ("0", false, &*(ETHER / 8).to_string())
    );
    let [later] = &early.maturing[..] else { panic!("{early:?}") };
    assert_eq!(later.amount, (ETHER / 8).to_string());
    assert!(early.next.iter().any(|next| next.contains("requestExit()")), "{early:?}");

    world.pass(CHALLENGE).await;
    let ready = ask(&world, bob.address).await;
    assert_eq!((ready.claimable.as_str(), ready.maturing.len()), (&*(ETHER / 8).to_string(), 0));
    let call = ready.call.expect("a call");
    world.send_input(RICH, 0, call.input).await;
    assert_eq!(world.eth(bob.address).await, U256::from(ETHER / 8));
    assert_eq!(ask(&world, bob.address).await.claimable, "0");

    // The rest: asked for on layer 1, served by nobody, so that the gateway is halted.
    world.deposit(RICH, 1).await;
    world.send(RICH, 0, PaymentsGateway::requestExitCall {}).await;
    let asked = ask(&world, RICH).await;
    assert_eq!((asked.waiting.len(), asked.waiting[0].index.as_str()), (1, "2"));
    let [deposit] = &asked.deposits[..] else { panic!("{asked:?}") };
    assert_eq!((deposit.index.as_str(), deposit.value.as_str(), deposit.call.is_some()), ("1", "1", false));
    world.pass(FORCE + 1).await;
    world.send(RICH, 0, PaymentsGateway::haltCall {}).await;
    let key = world.key_file("payer.key", CHALLENGER_KEY);
    for (user, owned, total) in [(&alice, ETHER - ETHER / 4, ETHER - ETHER / 4), (&bob, ETHER / 8, ETHER / 4)] {
        let report = ask(&world, user.address).await;
        assert_eq!((report.halted, report.claimable.as_str()), (true, &*owned.to_string()));
        let paying = ExitArgs { key_file: Some(key.clone()), ..args(&world, user.address) };
        let sent = exit_from_layer1(&paying).await.unwrap_or_else(|error| panic!("{error:?}"));
        assert!(sent.transaction.is_some(), "{sent:?}");
        assert_eq!(world.eth(user.address).await, U256::from(total));
        assert!(sent.next.is_empty(), "nothing is left to do: {sent:?}");
        let after = ask(&world, user.address).await;
        assert_eq!((after.claimable.as_str(), after.call.is_some()), ("0", false));
    }
    // A deposit that no batch took is paid back, once.
    let report = ask(&world, RICH).await;
    assert!(report.call.is_none() && report.deposits[0].call.is_some() && report.next.len() == 1, "{report:?}");
    let before = world.eth(RICH).await;
    let paying = ExitArgs { key_file: Some(key), ..args(&world, RICH) };
    let sent = exit_from_layer1(&paying).await.unwrap_or_else(|error| panic!("{error:?}"));
    assert!(sent.deposits[0].transaction.is_some(), "{sent:?}");
    assert_eq!(world.eth(RICH).await, before + U256::from(1));
    let after = ask(&world, RICH).await;
    assert!(after.deposits.is_empty() && after.next.is_empty(), "{after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_from_nowhere_says_what_is_wrong() {
    let world = World::new().await;
    let nowhere = ExitArgs { gateway: RICH, ..args(&world, RICH) };
    assert!(exit_from_layer1(&nowhere).await.expect_err("no gateway").to_string().contains("--gateway"));
    let stranger = ask(&world, User::new(9).address).await;
    assert_eq!((stranger.balance.as_str(), stranger.claimable.as_str(), stranger.next.len()), ("0", "0", 0));
}
