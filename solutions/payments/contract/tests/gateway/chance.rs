//! Long random lives of a gateway, each the same on every run. After every step: the gateway holds to the wei what it
//! owes, every honest chunk is uncontestable and every false one falls; at the end it halts and everyone leaves in full.

use alloy::primitives::{Address, U256, keccak256};
use payments_contract::PaymentsGateway as Gateway;
use payments_protocol::{Contest, Record, State};

use crate::chain::{passed, refused};
use crate::fraud::{twin, with_false_root};
use crate::world::{CHALLENGE, ETH, FORCE, GWEI, MIN_BOND, Person, World, claim_call, person, records};

/// Numbers that look random: keccak256 of a counter.
struct Chance(u64, u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.1 += 1;
        let hash = keccak256([self.0.to_be_bytes(), self.1.to_be_bytes()].concat());
        usize::from(u16::from_be_bytes([hash[0], hash[1]])) % bound
    }

    fn of<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        &things[self.below(things.len())]
    }
}

struct Life {
    world: World,
    chance: Chance,
    people: Vec<Person>,
    /// Wei that should lie in the gateway beside the bond: deposits and rewards, less what was paid out.
    owed: u128,
    claims: usize,
}

impl Life {
    async fn new(seed: u64) -> Self {
        let world = World::new().await;
        let people: Vec<_> = (0..6).map(|i| person(&format!("life {i}"))).collect();
        for person in &people {
            world.chain.set_balance(person.address, 100 * ETH).await;
        }
        Self { world, chance: Chance(seed, 0), people, owed: 0, claims: 0 }
    }

    fn someone(&mut self) -> Person {
        self.chance.of(&self.people).clone()
    }

    async fn step(&mut self) {
        let who = self.someone();
        match self.chance.below(9) {
            0 | 1 => {
                let value = (1 + self.chance.below(500) as u128) * ETH / 100;
                self.world.deposit(who.address, value).await;
                self.owed += value;
            }
            2 => drop(self.world.request_exit(who.address).await),
            3 => {
                let value = self.chance.below(300) as u128 * ETH / 100;
                let signed = self.world.withdraw(&who, value, GWEI);
                self.world.post_withdraw(&signed).await;
            }
            4..=6 => self.honest_batch().await,
            7 => self.false_batch().await,
            _ => {
                for person in self.people.clone() {
                    self.claim(person.address).await;
                }
            }
        }
        let held = self.world.chain.balance(self.world.gateway).await;
        assert_eq!(held, U256::from(self.owed + self.world.bond_balance().await));
    }

    /// Up to twenty messages of people who do not ask each other: some fit, some do not.
    fn messages(&mut self) -> Vec<Record> {
        let mut messages: Vec<Record> = Vec::new();
        for _ in 0..self.chance.below(20) {
            let (from, to) = (self.someone(), self.someone());
            let value = self.chance.below(200) as u128 * ETH / 100;
            let fee = self.chance.below(3) as u128 * GWEI;
            let signed = match self.chance.below(4) {
                0 => self.world.withdraw(&from, value, fee),
                _ => self.world.pay(&from, to.address, value, fee),
            };
            let record = records(&[signed])[0];
            messages.push(match self.chance.below(8) {
                0 => twin(&record),
                1 => Record { value: record.value + 1, ..record },
                2 => messages.first().copied().unwrap_or(record),
                _ => record,
            });
        }
        messages
    }

    async fn honest_batch(&mut self) {
        let messages = self.messages();
        let start = self.world.standing.last().map_or(0, |standing| standing.batch.inbox_end);
        if messages.is_empty() && start == self.world.inbox.len() {
            return;
        }
        let before = self.world.state();
        self.world.advance_with(&messages).await;
        let batch = self.world.standing.last().unwrap().batch.clone();
        let chunk = self.chance.below(batch.roots.len());
        let items = self.world.items_of(&batch);
        let contest = Contest::of_chunk(&self.world.domain, &batch, &before, items, chunk).unwrap();
        refused::<Gateway::NotFraud>(self.world.contest(self.world.anyone, &contest).await);
        self.invariants(&before);
    }

    /// Balances, withdrawals and fees together are what was deposited; nonces and withdrawals never fall.
    fn invariants(&self, before: &State) {
        let state = self.world.state();
        let consumed = self.world.standing.last().unwrap().batch.inbox_end;
        let deposits: u128 = self
            .world
            .inbox
            .range(0, consumed)
            .unwrap()
            .iter()
            .map(|item| match item.kind {
                payments_protocol::ItemKind::Deposit => item.value,
                _ => 0,
            })
            .sum();
        assert_eq!(state.total(), deposits);
        for (account, old) in before.iter() {
            let new = state.leaf(account);
            assert!(new.nonce >= old.nonce && new.withdrawn >= old.withdrawn);
        }
    }

    async fn false_batch(&mut self) {
        let mut messages = self.messages();
        messages.push(records(&[self.world.pay(&self.people[0].clone(), self.people[1].address, 0, 0)])[0]);
        let built = self.world.build(&messages);
        let chunk = self.chance.below(built.batch.roots.len());
        let receipt = self.world.falls(&with_false_root(&built, chunk)).await;
        let slashed: Gateway::BondSlashed = self.world.event(&receipt);
        self.owed += slashed.escrowed.to::<u128>();
        // Never taken over here: each contest is of the next id, and the rewards before are for this id or lower ones.
        self.world.bond(MIN_BOND).await;
    }

    async fn claim(&mut self, account: Address) {
        let id: u64 = self.world.view(Gateway::finalisedIdCall {}).await.to();
        let Some(last) = id.checked_sub(1) else { return };
        let witness = self.world.standing[last as usize].state.witness(account);
        if witness.account != account {
            return; // A neighbour's leaf: the account has none to claim with.
        }
        let result = self.world.call(self.world.anyone, 0, claim_call(id, &witness, account, vec![])).await;
        let unclaimed = witness.withdrawn - self.world.claimed(account).await;
        match result {
            Ok(receipt) => {
                assert_eq!(unclaimed, 0);
                self.claims += 1;
                self.owed -= self.world.event::<Gateway::Claimed>(&receipt).amount.to::<u128>();
            }
            refusal => {
                refused::<Gateway::NothingToClaim>(refusal);
                assert_eq!(unclaimed, 0);
            }
        }
    }

    /// Time passes; the operator of this life serves what would be overdue after it.
    async fn wait(&mut self) {
        let seconds = self.chance.below(CHALLENGE as usize / 2) as u64;
        let due = self.world.view(Gateway::dueTimeCall {}).await.time;
        if due != 0 && due < self.world.chain.now().await + seconds + FORCE / 2 {
            self.honest_batch().await;
        }
        self.world.chain.advance(seconds).await;
    }

    async fn end(&mut self) {
        // A life in which nothing happened proves nothing.
        let finalised: u64 = self.world.view(Gateway::finalisedIdCall {}).await.to();
        let rewards = self.world.view(Gateway::rewardCountCall {}).await;
        println!(
            "{finalised} final of {} batches, {rewards} fallen, {} claims",
            self.world.standing.len(),
            self.claims
        );
        assert!(finalised >= 5 && rewards >= 3 && self.claims >= 1);
        self.world.request_exit(self.people[0].address).await;
        let last = self.world.deposit(self.people[1].address, ETH).await;
        self.owed += ETH;
        self.world.chain.advance(CHALLENGE + FORCE + 1).await;
        passed(self.world.halt().await);
        let state = self.world.state();
        let consumed = self.world.view(Gateway::inboxCursorCall {}).await;
        for (account, leaf) in state.iter() {
            let due = leaf.balance + leaf.withdrawn - self.world.claimed(account).await;
            if due > 0 {
                let receipt = passed(self.world.claim(account).await);
                assert_eq!(self.world.event::<Gateway::Claimed>(&receipt).amount, U256::from(due));
                self.owed -= due;
            }
        }
        for index in consumed..=last.index {
            let item = *self.world.inbox.item(index).unwrap();
            let result = self.world.call(self.world.anyone, 0, Gateway::reclaimDepositCall { index }).await;
            if item.kind == payments_protocol::ItemKind::Deposit {
                passed(result);
                self.owed -= item.value;
            } else {
                refused::<Gateway::NotReclaimable>(result);
            }
        }
        for reward in 0..self.world.view(Gateway::rewardCountCall {}).await {
            let call = Gateway::collectRewardCall { reward: U256::from(reward) };
            let event: Gateway::RewardCollected =
                self.world.event(&passed(self.world.call(self.world.anyone, 0, call).await));
            self.owed -= event.amount.to::<u128>();
        }
        passed(self.world.call(self.world.operator, 0, Gateway::unbondCall {}).await);
        assert_eq!(self.owed, 0);
        assert_eq!(self.world.chain.balance(self.world.gateway).await, U256::ZERO);
    }
}

#[tokio::test]
async fn lives() {
    for seed in 0..3 {
        let mut life = Life::new(seed).await;
        for step in 0..80 {
            life.step().await;
            if step % 8 == 7 {
                life.wait().await;
            }
        }
        life.end().await;
    }
}
