use std::collections::BTreeMap;

use super::*;

/// A chain that can fork: blocks by hash, and the canonical ones by height.
#[derive(Default)]
struct World {
    blocks: BTreeMap<B256, Block>,
    canonical: Vec<Block>,
    forks: u64,
}

impl World {
    fn new(length: u64) -> Self {
        let mut world = Self::default();
        world.grow(length);
        world
    }

    fn grow(&mut self, blocks: u64) {
        for _ in 0..blocks {
            let number = self.canonical.len() as u64;
            let parent_hash = self.canonical.last().map_or(B256::ZERO, |block| block.hash);
            let hash = alloy::primitives::keccak256([parent_hash.as_slice(), &self.forks.to_be_bytes()].concat());
            let block = Block { number, hash, parent_hash, timestamp: number, base_fee_per_gas: None };
            self.blocks.insert(hash, block);
            self.canonical.push(block);
        }
    }

    fn fork(&mut self, depth: usize, blocks: u64) {
        self.canonical.truncate(self.canonical.len() - depth);
        self.forks += 1;
        self.grow(blocks);
    }

    fn top(&self) -> Block {
        *self.canonical.last().expect("never empty")
    }

    /// Offers the newest block and serves what is wanted; how many requests it took.
    fn poll(&self, tracker: &mut Tracker) -> usize {
        let mut requests = 1;
        let mut want = tracker.offer(self.top());
        while let Some(wanted) = want {
            requests += 1;
            let block = match wanted {
                Want::Hash(hash) => self.blocks.get(&hash).copied(),
                Want::Number(number) => self.canonical.get(number as usize).copied(),
            };
            want = tracker.answer(wanted, block);
        }
        requests
    }
}

#[track_caller]
fn check(tracker: &Tracker, world: &World, depth: u64) {
    assert_eq!((tracker.head().number, tracker.head().hash), (world.top().number, world.top().hash));
    assert_eq!(tracker.head().reorg_depth, depth);
    assert_eq!(tracker.recent().last(), Some(&world.top().reference()));
    for known in tracker.recent() {
        assert_eq!(Some(&known.hash), world.canonical.get(known.number as usize).map(|b| &b.hash));
    }
}

#[test]
fn one_block_ahead_costs_one_request() {
    let mut world = World::new(10);
    let mut tracker = Tracker::new(world.top(), 8);
    assert_eq!(world.poll(&mut tracker), 1);
    world.grow(1);
    assert_eq!(world.poll(&mut tracker), 1);
    check(&tracker, &world, 0);
}

#[test]
fn a_gap_is_closed_back_over_parents() {
    let mut world = World::new(10);
    let mut tracker = Tracker::new(world.top(), 8);
    world.grow(5);
    assert_eq!(world.poll(&mut tracker), 5);
    check(&tracker, &world, 0);
    assert_eq!(tracker.recent().len(), 6);
}

#[test]
fn a_fork_of_the_same_length_is_seen_with_its_depth() {
    let mut world = World::new(10);
    let mut tracker = Tracker::new(world.top(), 8);
    world.grow(4);
    world.poll(&mut tracker);
    world.fork(3, 3);
    world.poll(&mut tracker);
    check(&tracker, &world, 3);
}

#[test]
fn a_shorter_fork_is_followed() {
    let mut world = World::new(10);
    let mut tracker = Tracker::new(world.top(), 8);
    world.grow(6);
    world.poll(&mut tracker);
    world.fork(4, 1);
    world.poll(&mut tracker);
    check(&tracker, &world, 4);
}

#[test]
fn a_lagging_endpoint_is_not_a_reorganisation() {
    let mut world = World::new(10);
    let mut tracker = Tracker::new(world.top(), 8);
    world.grow(3);
    world.poll(&mut tracker);
    let lagging = world.canonical[11];
    for _ in 1..SHORTER_CHAIN_PATIENCE {
        assert_eq!(tracker.offer(lagging), None);
        check(&tracker, &world, 0);
    }
    world.poll(&mut tracker);
    assert_eq!(tracker.offer(lagging), None, "patience begins anew");
    check(&tracker, &world, 0);
}

#[test]
fn a_chain_that_stays_shorter_is_believed() {
    let mut world = World::new(10);
    let mut tracker = Tracker::new(world.top(), 8);
    world.grow(3);
    world.poll(&mut tracker);
    world.fork(2, 0);
    for _ in 0..SHORTER_CHAIN_PATIENCE {
        world.poll(&mut tracker);
    }
    check(&tracker, &world, 2);
}

#[test]
fn a_long_sleep_costs_two_requests() {
    let mut world = World::new(10);
    let mut tracker = Tracker::new(world.top(), 8);
    world.grow(5_000);
    assert_eq!(world.poll(&mut tracker), 2);
    check(&tracker, &world, 0);
}

#[test]
fn a_reorganisation_during_a_long_sleep_is_seen() {
    let mut world = World::new(10);
    let mut tracker = Tracker::new(world.top(), 8);
    world.grow(6);
    world.poll(&mut tracker);
    world.fork(2, 500);
    world.poll(&mut tracker);
    check(&tracker, &world, 2);
}

#[test]
fn a_fork_below_everything_remembered_starts_over() {
    let mut world = World::new(100);
    let mut tracker = Tracker::new(world.top(), 8);
    world.grow(20);
    world.poll(&mut tracker);
    world.fork(50, 50);
    world.poll(&mut tracker);
    assert_eq!(tracker.head().hash, world.top().hash);
    assert!(tracker.head().reorg_depth >= 1);
}

#[test]
fn another_chain_from_its_beginning_is_followed() {
    let mut tracker = Tracker::new(World::new(100).top(), 8);
    let mut other = World { forks: 77, ..World::default() };
    other.grow(1);
    other.poll(&mut tracker);
    assert_eq!(tracker.head().hash, other.top().hash);
}

#[test]
fn answers_that_do_not_fit_end_the_walk_and_nothing_else() {
    let mut world = World::new(10);
    let mut tracker = Tracker::new(world.top(), 8);
    let before = tracker.head();
    world.grow(4);
    let want = tracker.offer(world.top()).expect("a gap");
    assert_eq!(tracker.answer(want, None), None);
    let want = tracker.offer(world.top()).expect("a gap");
    assert_eq!(tracker.answer(want, Some(world.canonical[2])), None, "another block than asked for");
    let want = tracker.offer(world.top()).expect("a gap");
    let lie = Block { number: u64::MAX, ..world.canonical[12] };
    assert_eq!(tracker.answer(want, Some(lie)), None, "a wrong height");
    assert_eq!(tracker.answer(want, Some(world.canonical[12])), None, "no walk is under way");
    assert_eq!(tracker.head(), before);
    world.poll(&mut tracker);
    check(&tracker, &world, 0);
}

#[test]
fn an_absurd_height_does_not_stick() {
    let mut world = World::new(10);
    let mut tracker = Tracker::new(world.top(), 8);
    let lie = Block { number: u64::MAX, hash: B256::repeat_byte(1), ..world.top() };
    let want = tracker.offer(lie).expect("asks whether the old head is still there");
    assert_eq!(tracker.answer(want, Some(world.top())), None);
    world.grow(1);
    world.poll(&mut tracker);
    assert_eq!(tracker.head().hash, world.top().hash);
}

/// Random growth and forks, looked at now and then: the head is always right, and so is the depth while it is within
/// what is remembered.
#[test]
fn random_histories() {
    let mut seed = 0x1234_5678_9abc_def0_u64;
    let mut random = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut world = World::new(200);
    let mut tracker = Tracker::new(world.top(), 32);
    for _ in 0..2_000 {
        let before = world.canonical.clone();
        match random(3) {
            0 => world.grow(random(10)),
            1 => world.fork(random(12) as usize, 1 + random(14)),
            _ => world.grow(1),
        }
        world.poll(&mut tracker);
        let common = before.iter().zip(&world.canonical).take_while(|(a, b)| a.hash == b.hash).count();
        assert_eq!(tracker.head().hash, world.top().hash);
        let moved = before.last().map(|b| b.hash) != Some(world.top().hash);
        if moved && tracker.recent().len() > 12 {
            check(&tracker, &world, (before.len() - common) as u64);
        }
    }
}

#[test]
fn blocks_are_parsed_strictly() {
    let mut block = serde_json::json!({
        "number": "0x10", "hash": B256::repeat_byte(1), "parentHash": B256::repeat_byte(2),
        "timestamp": "0x5", "baseFeePerGas": "0x7", "transactions": []
    });
    let parsed: Block = serde_json::from_value(block.clone()).expect("a block");
    assert_eq!((parsed.number, parsed.timestamp, parsed.base_fee_per_gas), (16, 5, Some(7)));
    block["number"] = serde_json::json!("0x10000000000000000");
    assert!(serde_json::from_value::<Block>(block.clone()).is_err());
    block["number"] = serde_json::json!(null);
    assert!(serde_json::from_value::<Block>(block).is_err());
}
