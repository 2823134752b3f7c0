//! The operator's main job.

use alloy::primitives::{B256, Bytes, U256};
use alloy::sol_types::SolCall;
use payments_contract::PaymentsGateway;
use payments_node::NodeArgs;
use payments_protocol::{Message, SignedReceipt};
use serde_json::{Value, json};

use crate::world::{CHALLENGE, ETHER, OPERATOR, RICH, User, World, message_of, start};

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_is_paid_on_withdrawn_and_claimed() {
    let world = World::new().await;
    let (node, client) = start(world.operator_args()).await;
    let (alice, bob) = (User::new(1), User::new(2));

    world.deposit(alice.address, ETHER).await;
    client.until_balance(alice.address, ETHER).await;

    let receipt = alice.pay(&world, &client, bob.address, ETHER / 4).await;
    let signed: SignedReceipt = serde_json::from_value(receipt.clone()).expect("a receipt");
    assert_eq!(signed.signer(&world.domain), Ok(OPERATOR));
    assert_eq!((signed.receipt.sequence, signed.receipt.previous_receipt), (0, B256::ZERO));
    client.until_balance(bob.address, ETHER / 4).await;

    let told = client.call("l2_getMessage", json!([message_of(&receipt)])).await;
    assert_eq!(
        (&told["effective"], &told["state"], &told["place"]["batch"]),
        (&json!(true), &json!("sequenced"), &json!("2"))
    );
    assert_eq!(told["receipt"], receipt);

    bob.withdraw(&world, &client, ETHER / 8).await;
    client
        .until("l2_getAccount", json!([bob.address]), "the withdrawal is sequenced", |a| {
            a["withdrawn"] == (ETHER / 8).to_string()
        })
        .await;
    let early = client.call("l2_getExitProof", json!([bob.address])).await;
    assert_eq!((&early["claimable"], &early["maturing"]), (&json!("0"), &json!((ETHER / 8).to_string())));

    world.pass(CHALLENGE).await;
    let proof = client
        .until("l2_getExitProof", json!([bob.address]), "the withdrawal is final", |p| {
            p["claimable"] == (ETHER / 8).to_string()
        })
        .await;
    let input: Bytes = serde_json::from_value(proof["call"]["input"].clone()).expect("calldata");
    world.send_input(RICH, 0, input).await;
    assert_eq!(world.eth(bob.address).await, U256::from(ETHER / 8));
    let what = "the claim is seen";
    client
        .until("l2_getExitProof", json!([bob.address]), what, |p| {
            p["claimable"] == "0" && p["claimed"] == (ETHER / 8).to_string()
        })
        .await;

    let history = client.call("l2_getMessages", json!([alice.address, "0"])).await;
    let kinds: Vec<_> = history["messages"].as_array().expect("a list").iter().map(|m| m["kind"].clone()).collect();
    assert_eq!(kinds, [json!("deposit"), json!("payment")]);
    node.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_messages_get_errors_that_say_what_to_do() {
    let world = World::new().await;
    let (node, client) = start(world.operator_args()).await;
    let (alice, bob) = (User::new(1), User::new(2));
    world.deposit(alice.address, ETHER).await;
    client.until_balance(alice.address, ETHER).await;
    let leaf = alice.next(&client).await;
    let payment = |value| Message::payment(alice.address, &leaf, bob.address, value, 0);
    let try_send = async |signed| client.try_call("l2_sendMessage", json!([signed])).await.expect_err("refused");

    let error = try_send(json!(alice.sign(&world, payment(2 * ETHER)))).await;
    assert_eq!((&error["code"], &error["data"]["balance"]), (&json!(-32012), &json!(ETHER.to_string())));

    let error = try_send(json!(alice.sign(&world, Message { nonce: 7, ..payment(1) }))).await;
    assert_eq!((&error["code"], &error["data"]["expected"]), (&json!(-32011), &json!("0")));

    let error = try_send(json!(alice.sign(&world, Message { prev: B256::repeat_byte(1), ..payment(1) }))).await;
    assert_eq!((&error["code"], &error["data"]["expected"]), (&json!(-32013), &json!(B256::ZERO)));

    let error = try_send(json!(bob.sign(&world, payment(1)))).await;
    assert_eq!(error["code"], -32010, "{error}");

    let mut malformed = json!(alice.sign(&world, payment(1)));
    malformed["value"] = json!(1);
    assert_eq!(try_send(malformed).await["code"], -32602);

    // Nothing of it changed anything.
    assert_eq!(client.account(alice.address).await["pending"]["nonce"], "0");
    assert_eq!(client.status().await["receipts"], "0");

    // The same message twice is one promise.
    let signed = json!([alice.sign(&world, payment(5))]);
    let first = client.call("l2_sendMessage", signed.clone()).await;
    assert_eq!(client.call("l2_sendMessage", signed).await, first);
    node.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_exit_comes_after_what_was_promised_and_stops_new_promises() {
    let world = World::new().await;
    // Old enough that nothing is posted before the exit request is there.
    let mut args = world.operator_args();
    args.batch_age_ms = 3_000;
    let (node, client) = start(args).await;
    let (alice, bob) = (User::new(1), User::new(2));
    world.deposit(alice.address, ETHER).await;
    client.until_balance(alice.address, ETHER).await;
    // RICH holds a layer-2 account of its own and asks on layer 1 for its exit.
    world.deposit(RICH, ETHER).await;
    client.until_balance(RICH, ETHER).await;

    let promised = alice.pay(&world, &client, bob.address, 1).await;
    let exit = PaymentsGateway::requestWithdrawPaymentCall { from: RICH, latestMessage: Bytes::new() };
    world.send(RICH, 0, exit).await;
    client.until("l2_getAccount", json!([RICH]), "the exit is seen", |a| a["exitWaiting"] == true).await;
    let done = client
        .until("l2_getAccount", json!([RICH]), "the exit is served", |a| a["withdrawn"] == ETHER.to_string())
        .await;
    assert_eq!((&done["balance"], &done["nonce"]), (&json!("0"), &json!("1")));
    let id = message_of(&promised);
    client.until("l2_getMessage", json!([id]), "the promise is kept", |m| m["effective"] == true).await;
    node.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_hundred_payments_fill_batches() {
    let world = World::new().await;
    let (node, client) = start(world.operator_args()).await;
    let (alice, bob) = (User::new(1), User::new(2));
    world.deposit(alice.address, ETHER).await;
    client.until_balance(alice.address, ETHER).await;
    let mut leaf = alice.next(&client).await;
    for _ in 0..300 {
        let message = Message::payment(alice.address, &leaf, bob.address, 1, 0);
        (leaf.nonce, leaf.head) = (leaf.nonce + 1, message.id());
        client.call("l2_sendMessage", json!([alice.sign(&world, message)])).await;
    }
    client.until_balance(bob.address, 300).await;
    let status = client.status().await;
    assert_eq!((&status["receipts"], &status["pending"], &status["fault"]), (&json!("300"), &json!("0"), &json!(null)));

    // The receipts come in pages, signed, without gaps, each pointing to the one before.
    let (mut from, mut previous, mut seen) = (0u64, B256::ZERO, 0u64);
    loop {
        let page = client.call("l2_getReceipts", json!([from.to_string(), 256])).await;
        let receipts: Vec<SignedReceipt> = serde_json::from_value(page["receipts"].clone()).expect("receipts");
        if receipts.is_empty() {
            break;
        }
        for signed in &receipts {
            assert_eq!(signed.signer(&world.domain), Ok(OPERATOR));
            assert_eq!((signed.receipt.sequence, signed.receipt.previous_receipt), (seen, previous));
            (seen, previous) = (seen + 1, signed.receipt.hash());
        }
        from = page["next"].as_str().and_then(|next| next.parse().ok()).expect("a number");
    }
    assert_eq!((seen, from), (300, 300));
    // Fewer receipts than the caller claims to know of.
    let page = client.call("l2_getReceipts", json!(["1000"])).await;
    assert_eq!((&page["receipts"], &page["next"]), (&json!([]), &json!("300")));
    node.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_fee_became_too_low_is_sent_again_with_a_higher_one() {
    let world = World::new().await;
    let args = NodeArgs { resend_ms: 300, ..world.operator_args() };
    let (node, client) = start(args).await;
    let alice = User::new(1);
    world.deposit(RICH, 1).await;
    client.until_balance(RICH, 1).await;

    world.layer1.call("evm_setAutomine", json!([false])).await;
    let deposit = PaymentsGateway::depositCall { to: alice.address };
    let request = json!({ "from": RICH, "to": world.gateway, "value": "0x5", "input": Bytes::from(deposit.abi_encode()), "gas": "0x100000" });
    world.layer1.call("eth_sendTransaction", json!([request])).await;
    world.layer1.call("evm_mine", json!([])).await;
    let open = |status: &Value| status["openTransactions"].as_array().map_or(0, Vec::len);
    let first = client.until_status("the batch is sent", |status| open(status) == 1).await;
    // A hundred gwei now and from now on: the first bid will never do.
    world.layer1.call("anvil_setNextBlockBaseFeePerGas", json!(["0x174876e800"])).await;
    world.layer1.call("evm_mine", json!([])).await;
    let second = client.until_status("it is sent again", |status| open(status) >= 2).await;
    assert_eq!(second["openTransactions"][0], first["openTransactions"][0]);
    world.layer1.call("evm_setAutomine", json!([true])).await;
    world.layer1.call("evm_mine", json!([])).await;
    client.until_balance(alice.address, 5).await;
    client.until_status("the one that was outbid is settled too", |status| open(status) == 0).await;
    node.stop().await.expect("a clean stop");
}
