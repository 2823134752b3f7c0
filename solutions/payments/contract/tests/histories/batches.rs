//! The operator's batches: honest ones, and what a thief or a broken program makes of them.

use alloy::primitives::{B256, Bytes, keccak256};
use payments_protocol::transition::apply_item;
use payments_protocol::{Batch, Chunk, Leaf, Record, State, Submission};

use crate::chance::Chance;
use crate::messages::{records, twin};
use crate::model::{ETH, MIN_BOND};
use crate::people::{EVERYONE, OPERATOR};
use crate::world::World;

/// An honest batch on the last standing one, if its state is known and there is something to put in.
pub(crate) fn honest(world: &mut World, chance: &mut Chance) -> Option<Batch> {
    let before = world.tip()?;
    let start = world.model.cursor();
    let waiting = usize::try_from(world.model.inbox.len() - start).unwrap();
    // Mostly all that waits, as a node does.
    let taken = if chance.once_in(4) { chance.below(waiting + 1) } else { waiting };
    let items = world.model.inbox.range(start, start + taken as u64).unwrap().to_vec();
    let mut soft = before.clone();
    for item in &items {
        apply_item(&world.domain, &mut soft, item);
    }
    let count = match chance.below(6) {
        0 => 0,
        1 => 8 + chance.below(12),
        _ => 1 + chance.below(8),
    };
    let records = records(world, chance, &mut soft, count);
    let id = world.model.next_id();
    let previous = world.model.commitment(id - 1);
    let proposer = OPERATOR.address;
    let inbox_end = start + items.len() as u64;
    let roots = vec![B256::ZERO; items.len().div_ceil(8) + records.len().div_ceil(8)];
    let records = Record::encode_all(&records).into();
    let mut batch =
        Batch { id, previous_commitment: previous, proposer, inbox_start: start, inbox_end, roots, records };
    execute(world, &mut batch, 0, before)?;
    Some(batch)
}

/// Claims what the chunks from this one on lead to from `state`, and makes the states on the way known.
fn execute(world: &mut World, batch: &mut Batch, first: usize, mut state: State) -> Option<()> {
    let items = world.model.inbox.range(batch.inbox_start, batch.inbox_end)?;
    let chunks: Vec<Chunk> = batch.chunks(items).ok()?;
    for (number, chunk) in chunks.iter().enumerate().skip(first) {
        batch.roots[number] = chunk.apply(&world.domain, &mut state, batch.proposer).root;
        world.known.insert(state.root(), state.clone());
    }
    Some(())
}

/// The honest batch of all that waits and of these records, on genesis.
pub(crate) fn of(world: &World, records: &[Record]) -> Batch {
    let items = world.model.inbox.range(0, world.model.inbox.len()).unwrap();
    let proposer = OPERATOR.address;
    Batch::build(&world.domain, &State::new(), 1, B256::ZERO, proposer, 0, items, records).unwrap().batch
}

/// Makes sure of the bond, and sends it.
pub(crate) fn send(world: &mut World, chance: &mut Chance, batch: &Batch) -> bool {
    if !world.model.halted && world.model.bond < MIN_BOND {
        let missing = MIN_BOND - world.model.bond + u128::from(chance.once_in(2)) * ETH;
        world.bond(OPERATOR.address, missing);
    }
    let Some(accumulator) = world.model.inbox.accumulator(batch.inbox_end) else { return false };
    world.submit(chance, OPERATOR.address, &batch.submission(accumulator))
}

/// A batch that was honest, with something changed; it may be honest still. None where the change does not fit it.
pub(crate) fn mutated(world: &mut World, chance: &mut Chance, honest: &Batch) -> Option<(&'static str, Batch)> {
    let mut batch = honest.clone();
    let chunks = batch.roots.len();
    let chunk = chance.below(chunks);
    let records = batch.records.len() / Record::LENGTH;
    let mut bytes = batch.records.to_vec();
    let range = |number: usize| number * Record::LENGTH..(number + 1) * Record::LENGTH;
    let what = match chance.below(14) {
        0 => {
            batch.roots[chunk] = keccak256(chance.word().to_be_bytes());
            "root"
        }
        1 => {
            batch.roots[chunk] = B256::ZERO;
            "root of nobody"
        }
        2 => {
            // In the order of their bytes, so that the choice is the same on every run.
            let mut roots: Vec<B256> = world.known.keys().copied().collect();
            roots.sort();
            batch.roots[chunk] = *chance.of(&roots);
            "root of another state"
        }
        3 => {
            batch.roots[chunk] =
                chunk.checked_sub(1).map_or(world.model.root(batch.id - 1), |before| batch.roots[before]);
            "chunk left out"
        }
        4 => {
            steal(world, chance, &mut batch, chunk)?;
            "theft"
        }
        5 => {
            steal(world, chance, &mut batch, chunk)?;
            let stolen = world.known.get(&batch.roots[chunk])?.clone();
            execute(world, &mut batch, chunk + 1, stolen)?;
            "theft with honest chunks upon it"
        }
        6 if records > 0 => {
            let at = chance.below(bytes.len());
            bytes[at] ^= 1 << chance.below(8);
            "byte"
        }
        7 if records > 1 => {
            let (a, b) = (chance.below(records), chance.below(records));
            let (one, two) = (bytes[range(a)].to_vec(), bytes[range(b)].to_vec());
            bytes[range(a)].copy_from_slice(&two);
            bytes[range(b)].copy_from_slice(&one);
            "order"
        }
        8 if records > 1 => {
            let (a, b) = (chance.below(records), chance.below(records));
            bytes.copy_within(range(a), range(b).start);
            "duplicated record"
        }
        9 if records > 0 => {
            let number = chance.below(records);
            let record = Record::decode(bytes[range(number)].try_into().unwrap());
            bytes[range(number)].copy_from_slice(&twin(&record).encode());
            "signature"
        }
        10 | 11 => {
            // Another range of the inbox under the same claims, as many as its chunks are.
            let most = world.model.inbox.len() - batch.inbox_start;
            batch.inbox_end = batch.inbox_start + chance.below(usize::try_from(most).unwrap() + 1) as u64;
            let items = usize::try_from(batch.inbox_end - batch.inbox_start).unwrap();
            let last = batch.last_root();
            batch.roots.resize(items.div_ceil(8) + records.div_ceil(8), last);
            "inbox range"
        }
        12 if records > 1 => {
            bytes.truncate(bytes.len() - Record::LENGTH);
            let items = usize::try_from(batch.inbox_end - batch.inbox_start).unwrap();
            batch.roots.truncate(items.div_ceil(8) + (records - 1).div_ceil(8));
            "record left out"
        }
        13 => {
            let last = batch.last_root();
            let mut state = world.known.get(&last)?.clone();
            let leaf = state.leaf(OPERATOR.address);
            state.set(OPERATOR.address, Leaf { balance: leaf.balance + ETH / 1000, ..leaf });
            *batch.roots.last_mut()? = state.root();
            world.known.insert(state.root(), state);
            "fees that nobody paid"
        }
        _ => return None,
    };
    batch.records = Bytes::from(bytes);
    (!batch.roots.is_empty()).then_some((what, batch))
}

/// The chunk claims a state in which the operator has what is somebody else's.
fn steal(world: &mut World, chance: &mut Chance, batch: &mut Batch, chunk: usize) -> Option<()> {
    let mut state = world.known.get(&batch.roots[chunk])?.clone();
    let victim = chance.shuffled(EVERYONE.iter()).into_iter().find(|person| state.leaf(person.address).balance > 0)?;
    let (loss, gain) = (state.leaf(victim.address), state.leaf(OPERATOR.address));
    state.set(victim.address, Leaf { balance: 0, ..loss });
    let stolen = match chance.once_in(2) {
        true => Leaf { balance: gain.balance + loss.balance, ..gain },
        false => Leaf { withdrawn: gain.withdrawn + loss.balance, ..gain },
    };
    state.set(OPERATOR.address, stolen);
    batch.roots[chunk] = state.root();
    world.known.insert(state.root(), state);
    Some(())
}

/// A batch on a root whose state nobody knows: no chunk of it can be proven, and it falls with the one below.
pub(crate) fn blind(world: &mut World, chance: &mut Chance) -> Batch {
    let id = world.model.next_id();
    let start = world.model.cursor();
    let count = 1 + chance.below(10);
    let mut nowhere = State::new();
    let records = records(world, chance, &mut nowhere, count);
    Batch {
        id,
        previous_commitment: world.model.commitment(id - 1),
        proposer: OPERATOR.address,
        inbox_start: start,
        inbox_end: start,
        roots: (0..count.div_ceil(8)).map(|_| keccak256(chance.word().to_be_bytes())).collect(),
        records: Record::encode_all(&records).into(),
    }
}

/// A submission that stood once, or one of those with a field changed.
pub(crate) fn again(world: &World, chance: &mut Chance) -> Option<Submission> {
    let mut submission = match chance.once_in(2) {
        true => world.fallen.last()?.clone(),
        false if world.fallen.is_empty() => return None,
        false => chance.of(&world.fallen).clone(),
    };
    match chance.below(10) {
        0 => submission.id += 1,
        1 => submission.previous_commitment = B256::repeat_byte(3),
        2 => submission.inbox_end += 1,
        3 => submission.accumulator = B256::repeat_byte(4),
        4 => submission.roots.push(B256::ZERO),
        5 => submission.id = world.model.next_id(),
        6 => {
            submission.id = world.model.next_id();
            submission.previous_commitment = world.model.commitment(world.model.tip());
        }
        _ => (),
    }
    Some(submission)
}
