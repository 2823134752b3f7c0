//! Policies on a real store against a simple model: asks, ends, time that passes, crashes, and asks that come at once.

use super::*;
use crate::policy::{TokenAmount, TokenLimit, What};
use alloy::primitives::Address;
use entresol_store::{NewApproval, NewSolution, Store, StoreError};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::cell::Cell;
use tempfile::TempDir;

const KEY: [u8; 32] = [7; 32];
const COIN: Address = Address::repeat_byte(0x22);
const FRIEND: Address = Address::repeat_byte(0xaa);
/// A small window, so that time passes it often.
const WINDOW: u64 = 1000;
const START: u64 = 1_000_000;
/// Limits of the two policies: per call, per window, and of the coin.
const LIMITS: [(u64, u64, u64, u64); 2] = [(60, 100, 30, 50), (40, 150, 20, 35)];
const MOST: [Option<u64>; 2] = [Some(5), None];

fn rule(index: usize) -> Rule {
    let (per_call, per_window, coin_call, coin_window) = LIMITS[index];
    Rule {
        actions: vec!["pay".into()],
        contracts: Vec::new(),
        per_call: U256::from(per_call),
        per_window: U256::from(per_window),
        window_ms: WINDOW,
        max_count: MOST[index],
        recipients: Some(vec![FRIEND]),
        tokens: vec![TokenLimit { token: COIN, per_call: U256::from(coin_call), per_window: U256::from(coin_window) }],
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Ask under these policies.
    Ask { under: Under, amount: u64, fee: u64, coin: bool, friend: bool },
    /// The same from several threads at once.
    Crowd { under: Under, amount: u64, fee: u64, threads: usize },
    /// It happened; of the fee only so many quarters were needed.
    Settle { which: prop::sample::Index, quarters: u64 },
    /// It did not happen.
    Release { which: prop::sample::Index },
    /// Time passes.
    Wait { ms: u64 },
    /// The process dies and starts again.
    Crash,
    /// A policy is paused or taken up again.
    Pause { policy: usize, on: bool },
}

#[derive(Clone, Copy, Debug)]
enum Under {
    First,
    Second,
    Both,
}

impl Under {
    fn indices(self) -> &'static [usize] {
        match self {
            Self::First => &[0],
            Self::Second => &[1],
            Self::Both => &[0, 1],
        }
    }
}

/// What the model keeps of one request.
struct Entry {
    approval: u64,
    under: &'static [usize],
    amount: u64,
    fee: u64,
    coin: bool,
    /// `None` while reserved, then (settled, when).
    end: Option<(bool, u64)>,
    /// It was given back, and happened after all (a reorganisation): it counts, though there was no room for it.
    late: bool,
}

#[derive(Default)]
struct Model {
    entries: Vec<Entry>,
    paused: [bool; 2],
}

impl Model {
    /// Ether, coins, fees and number that count for a policy at a time.
    fn sums(&self, policy: usize, at: u64) -> (u64, u64, u64, u64) {
        self.sums_of(policy, at, true)
    }

    fn sums_of(&self, policy: usize, at: u64, late: bool) -> (u64, u64, u64, u64) {
        let counts = |entry: &&Entry| {
            (late || !entry.late)
                && entry.under.contains(&policy)
                && match entry.end {
                    None => true,
                    Some((settled, when)) => settled && when + WINDOW >= at,
                }
        };
        self.entries.iter().filter(counts).fold((0, 0, 0, 0), |(ether, coins, fees, count), entry| {
            let (e, c) = if entry.coin { (0, entry.amount) } else { (entry.amount, 0) };
            (ether + e, coins + c, fees + entry.fee, count + 1)
        })
    }

    fn passes(&self, under: Under, amount: u64, fee: u64, coin: bool, friend: bool, at: u64) -> bool {
        under.indices().iter().all(|policy| {
            let (ether, coins, fees, count) = self.sums(*policy, at);
            let (per_call, per_window, coin_call, coin_window) = LIMITS[*policy];
            let cost = if coin { fee } else { amount + fee };
            friend
                && !self.paused[*policy]
                && cost <= per_call
                && ether + fees + cost <= per_window
                && MOST[*policy].is_none_or(|most| count < most)
                && (!coin || (amount <= coin_call && coins + amount <= coin_window))
        })
    }
}

struct World {
    directory: TempDir,
    store: Option<Store>,
    policies: [u64; 2],
    at: u64,
    model: Model,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(&directory.path().join("wallet.db"), &KEY).expect("a store");
        let network = entresol_store::Network {
            name: "dev".into(),
            chain_id: 31337,
            rpc_urls: vec!["http://127.0.0.1:1".into()],
            confirmations: 1,
        };
        store.put_network(&network).expect("stored");
        let solution = store.install(&solution(), &[], None, 1).expect("installed").id;
        let put = |index: usize| {
            let rule = serde_json::to_value(rule(index)).expect("JSON");
            store.put_policy(&format!("app:app-{index}"), solution, &rule, None, START).expect("stored").id
        };
        let policies = [put(0), put(1)];
        Self { directory, store: Some(store), policies, at: START, model: Model::default() }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("open")
    }

    fn crash(&mut self) {
        self.store = None;
        self.store = Some(Store::open(&self.directory.path().join("wallet.db"), &KEY).expect("the same store"));
    }

    fn covers(&self, under: Under) -> Vec<Cover> {
        let cover =
            |index: &usize| Cover { policy: self.policies[*index], rule: rule(*index), action: "pay".to_owned() };
        under.indices().iter().map(cover).collect()
    }

    fn submit(store: &Store, covers: &[Cover], ask: &Ask, at: u64) -> Option<u64> {
        let rows = reservations(covers, ask);
        let new = NewApproval {
            kind: "call".into(),
            requester: json!({ "who": "app:app-0" }),
            request_key: None,
            solution: None,
            cause: json!([]),
            intent: Json::Null,
            digest: "0x00".into(),
            shown: Json::Null,
            created_at: at,
            expires_at: at + 10,
        };
        match store.create_decided_approval(&new, "policy", &rows, still_fits(covers, ask, at), at) {
            Ok(approval) => Some(approval.id),
            Err(StoreError::PolicyRefused { .. } | StoreError::PolicyInactive { .. }) => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Ask { under, amount, fee, coin, friend } => {
                let expect = self.model.passes(under, amount, fee, coin, friend, self.at);
                let ask = ask(amount, fee, coin, friend);
                let passed = Self::submit(self.store(), &self.covers(under), &ask, self.at);
                prop_assert_eq!(passed.is_some(), expect, "{:?} {:?}", under, ask);
                if let Some(approval) = passed {
                    let under = under.indices();
                    self.model.entries.push(Entry { approval, under, amount, fee, coin, end: None, late: false });
                }
            }
            Step::Crowd { under, amount, fee, threads } => {
                let (store, covers, at) = (self.store(), self.covers(under), self.at);
                let ask = ask(amount, fee, false, true);
                let passed: Vec<u64> = std::thread::scope(|scope| {
                    let asking: Vec<_> =
                        (0..threads).map(|_| scope.spawn(|| Self::submit(store, &covers, &ask, at))).collect();
                    asking.into_iter().filter_map(|thread| thread.join().expect("no panic")).collect()
                });
                let mut expect = 0;
                let under_all = under.indices();
                let known = self.model.entries.len();
                while expect < threads && self.model.passes(under, amount, fee, false, true, at) {
                    self.model.entries.push(Entry {
                        approval: 0,
                        under: under_all,
                        amount,
                        fee,
                        coin: false,
                        end: None,
                        late: false,
                    });
                    expect += 1;
                }
                prop_assert_eq!(passed.len(), expect, "of {} at once", threads);
                for (entry, approval) in self.model.entries[known..].iter_mut().zip(passed) {
                    entry.approval = approval;
                }
            }
            Step::Settle { which, quarters } => {
                let at = self.at;
                if self.model.entries.is_empty() {
                    return Ok(());
                }
                let index = which.index(self.model.entries.len());
                let entry = &mut self.model.entries[index];
                let fee = entry.fee * quarters / 4;
                let subject = subject(entry.approval);
                if !matches!(entry.end, Some((true, _))) {
                    entry.late = entry.end.is_some();
                    (entry.fee, entry.end) = (fee, Some((true, at)));
                }
                self.store().settle_reservations(&subject, None, Some(&fee.to_string()), at).expect("settled");
            }
            Step::Release { which } => {
                let at = self.at;
                if self.model.entries.is_empty() {
                    return Ok(());
                }
                let index = which.index(self.model.entries.len());
                let entry = &mut self.model.entries[index];
                let subject = subject(entry.approval);
                if entry.end.is_none() {
                    entry.end = Some((false, at));
                }
                self.store().release_reservations(&subject, at).expect("released");
            }
            Step::Wait { ms } => self.at += ms,
            Step::Crash => self.crash(),
            Step::Pause { policy, on } => {
                let state = if on { PolicyState::Paused } else { PolicyState::Active };
                self.store().set_policy_state(self.policies[policy], state, None, self.at).expect("set");
                self.model.paused[policy] = on;
            }
        }
        self.compare()
    }

    /// The sums are the model's, and never above a limit.
    fn compare(&self) -> Result<(), TestCaseError> {
        for (policy, (_, per_window, _, coin_window)) in LIMITS.into_iter().enumerate() {
            let since = self.at.saturating_sub(WINDOW);
            let window = |token: Option<&str>| self.store().policy_window(self.policies[policy], token, since);
            let ether = window(None).expect("read");
            let coins = window(Some(&format!("{COIN:#x}"))).expect("read");
            let found = (ether.amount, coins.amount, ether.fee, ether.count);
            let (model_ether, model_coins, fees, count) = self.model.sums(policy, self.at);
            let expect = (model_ether.to_string(), model_coins.to_string(), fees.to_string(), count);
            prop_assert_eq!(found, expect, "policy {}", policy);
            let (model_ether, model_coins, fees, _) = self.model.sums_of(policy, self.at, false);
            prop_assert!(model_ether + fees <= per_window && model_coins <= coin_window);
        }
        Ok(())
    }
}

fn ask(amount: u64, fee: u64, coin: bool, friend: bool) -> Ask {
    let moved = U256::from(amount);
    Ask {
        what: What::Action { name: "pay".into() },
        amount: if coin { U256::ZERO } else { moved },
        fee: U256::from(fee),
        token: coin.then_some(TokenAmount { token: COIN, amount: moved }),
        recipients: vec![if friend { FRIEND } else { Address::repeat_byte(0xbb) }],
    }
}

fn solution() -> NewSolution {
    NewSolution {
        name: "probe".into(),
        title: "Probe".into(),
        network: "dev".into(),
        owner_index: 0,
        gateway: None,
        network_urls: Vec::new(),
        key_path: "m/43'/60'/1775'/1'".into(),
        package_name: "probe".into(),
        package_version: "1.0.0".into(),
        package_sha512: "ab".repeat(64),
        package_dir: "nowhere".into(),
        from_block: 0,
        interface_digest: "0x01".into(),
        interface: json!({ "actions": [{ "name": "pay" }], "state": [] }),
        manifest: json!({ "apiVersion": 1 }),
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    let under = prop_oneof![Just(Under::First), Just(Under::Second), Just(Under::Both)].boxed();
    let which = any::<prop::sample::Index>();
    prop_oneof![
        8 => (under.clone(), 0..70_u64, 0..10_u64, prop::bool::weighted(0.3), prop::bool::weighted(0.9))
            .prop_map(|(under, amount, fee, coin, friend)| Step::Ask { under, amount, fee, coin, friend }),
        2 => (under, 1..40_u64, 0..5_u64, 2..5_usize)
            .prop_map(|(under, amount, fee, threads)| Step::Crowd { under, amount, fee, threads }),
        4 => (which, 0..=4_u64).prop_map(|(which, quarters)| Step::Settle { which, quarters }),
        3 => any::<prop::sample::Index>().prop_map(|which| Step::Release { which }),
        4 => (0..WINDOW).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Crash),
        1 => (0..2_usize, any::<bool>()).prop_map(|(policy, on)| Step::Pause { policy, on }),
    ]
}

#[test]
fn policies_never_pass_more_than_their_window_whatever_happens() {
    let seeds = match std::env::var("ENTRESOL_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => vec![1_u64, 2, 3],
    };
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(32);
    let config = Config { failure_persistence: None, cases, ..Config::default() };
    let (steps, passed) = (Cell::new(0_usize), Cell::new(0_usize));
    for seed in &seeds {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(config.clone(), rng);
        let run = runner.run(&prop::collection::vec(any_step(), 1..40), |script| {
            let mut world = World::new();
            for step in script {
                steps.set(steps.get() + 1);
                world.step(step)?;
            }
            passed.set(passed.get() + world.model.entries.len());
            Ok(())
        });
        if let Err(error) = run {
            panic!("seed {seed}: {error}");
        }
    }
    assert!(passed.get() > 100, "the steps let hardly anything pass: {}", passed.get());
    println!(
        "policies against the model: {cases} cases with each of the seeds {seeds:?}, {} steps, {} requests passed",
        steps.get(),
        passed.get()
    );
}

#[test]
fn what_became_of_a_request_decides_what_it_cost() {
    let approval = |kind: &str, outcome: Json| Approval {
        id: 1,
        request: NewApproval {
            kind: kind.into(),
            requester: Json::Null,
            request_key: None,
            solution: None,
            cause: Json::Null,
            intent: Json::Null,
            digest: String::new(),
            shown: Json::Null,
            created_at: 0,
            expires_at: 0,
        },
        state: ApprovalState::Failed,
        choice: Json::Null,
        decided_by: None,
        decided_at: None,
        outcome: Some(outcome),
    };
    // A script that says "failed" is no proof that nothing happened.
    assert_eq!(failed_settlement(&approval("call", json!({ "error": "no luck" }))), Settlement::Whole);
    let undelivered = json!({ "error": "stopped", "data": { "delivered": false } });
    assert_eq!(failed_settlement(&approval("call", undelivered)), Settlement::Nothing);
    assert_eq!(failed_settlement(&approval("deposit", json!({ "error": "reverts" }))), Settlement::Nothing);
}
