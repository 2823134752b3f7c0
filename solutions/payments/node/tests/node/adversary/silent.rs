//! An operator who promises, and posts nothing.

use alloy::primitives::{Address, U256};
use payments_contract::PaymentsGateway as Gateway;
use payments_node::{Misbehave, NodeArgs};
use payments_protocol::Message;
use serde_json::json;

use super::{GWEI, number, pay, settled};
use crate::world::{CHALLENGE, ETHER, FORCE, OPERATOR, Process, RICH, User, World};

/// Wei that each account has on layer 2, by what it signed and deposited.
struct Books(Vec<(Address, u128)>);

impl Books {
    fn of(&mut self, account: Address) -> &mut u128 {
        let place = self.0.iter().position(|(known, _)| *known == account).unwrap_or_else(|| {
            self.0.push((account, 0));
            self.0.len() - 1
        });
        &mut self.0[place].1
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_silent_operator_every_account_claims_in_full_in_any_order() {
    let world = World::new().await;
    let operator = Process::start(&world.operator_args()).await;
    let users: Vec<User> = (1..=12).map(User::new).collect();
    let mut books = Books(Vec::new());
    for (place, user) in users.iter().enumerate() {
        let value = ETHER + 7 * place as u128;
        world.deposit(user.address, value).await;
        *books.of(user.address) += value;
    }
    settled(&world, &operator.client).await;
    for round in 0..4 {
        for (place, user) in users.iter().enumerate() {
            let (to, value) = (&users[(place * 5 + round + 1) % users.len()], 1_000 + 31 * place as u128);
            pay(&world, &operator.client, user, to.address, value, GWEI).await;
            *books.of(user.address) -= value + GWEI;
            *books.of(to.address) += value;
            *books.of(OPERATOR) += GWEI;
        }
    }
    // One has left in part and claimed that already, one has left and not claimed.
    for user in &users[..2] {
        user.withdraw(&world, &operator.client, ETHER / 3).await;
    }
    settled(&world, &operator.client).await;
    world.pass(CHALLENGE).await;
    let claimable = |proof: &serde_json::Value| number(&proof["claimable"]) == ETHER / 3;
    operator.client.until("l2_getExitProof", json!([users[0].address]), "it is final", claimable).await;
    assert_eq!(world.claim(&operator.client, users[0].address).await, ETHER / 3);
    *books.of(users[0].address) -= ETHER / 3;
    operator.kill().await;

    let silent = NodeArgs { misbehave: Some(Misbehave::Silent), ..world.operator_args() };
    let silent = Process::start(&silent).await;
    let replica = Process::start(&world.replica_args(false)).await;
    let standing = silent.client.status().await["standing"].clone();
    pay(&world, &silent.client, &users[3], users[4].address, 5, 0).await;
    // Through the inbox: everything, and a signed withdrawal posted by a stranger; and money that comes in too late.
    let leaf = users[6].next(&replica.client).await;
    let signed = users[6].sign(&world, Message::withdraw(users[6].address, &leaf, 9, 0));
    let posted = payments_protocol::PostedWithdraw::of(&signed);
    world.lend(users[5].address, ETHER).await;
    world.send(users[5].address, 0, Gateway::requestExitCall {}).await;
    let latest = posted.encode();
    world.send(RICH, 0, Gateway::requestWithdrawPaymentCall { from: users[6].address, latestMessage: latest }).await;
    world.deposit(users[7].address, 123).await;
    let refused = |a: &serde_json::Value| a["exitWaiting"] == true;
    silent.client.until("l2_getAccount", json!([users[5].address]), "the request is seen", refused).await;
    let leaf = users[5].next(&silent.client).await;
    let message = users[5].sign(&world, Message::payment(users[5].address, &leaf, users[0].address, 1, 0));
    let answer = silent.client.try_call("l2_sendMessage", json!([message])).await;
    assert_eq!(answer.expect_err("an exit waits")["code"], -32014);

    world.pass(FORCE + 1).await;
    world.send(RICH, 0, Gateway::haltCall {}).await;
    replica.client.until_status("the halt is seen", |s| s["halted"] == true).await;
    let status = silent.client.until_status("the halt is seen", |s| s["halted"] == true).await;
    assert_eq!((&status["standing"], &status["pending"]), (&standing, &json!("1")));

    // An order of no meaning: seven is prime to thirteen.
    let accounts: Vec<Address> = books.0.iter().map(|(account, _)| *account).collect();
    for turn in 0..accounts.len() {
        let account = accounts[(turn * 7 + 3) % accounts.len()];
        let owned = *books.of(account);
        assert_eq!(world.claim(&replica.client, account).await, owned, "{account}");
    }
    // The deposit came back to whom it was for; only the bond is left, and that the operator may have.
    let index = world.view(Gateway::inboxLengthCall {}).await - 1;
    let before = world.eth(users[7].address).await;
    world.send(RICH, 0, Gateway::reclaimDepositCall { index }).await;
    assert_eq!(world.eth(users[7].address).await - before, U256::from(123));
    assert_eq!(world.eth(world.gateway).await, U256::from(ETHER));
    world.send(OPERATOR, 0, Gateway::unbondCall {}).await;
    assert_eq!(world.eth(world.gateway).await, U256::ZERO);
}
