//! The base moves, memory forgets, and every answer stays what it was.

use std::sync::RwLock;

use payments_protocol::ItemKind;
use serde_json::Value;
use tempfile::TempDir;

use super::super::Setup;
use super::*;
use crate::args::Role;
use crate::chain::testing::{CHALLENGE, Layer1, User, item_log};
use crate::layer1::WINDOW;
use crate::store::SqliteStore;

const BATCHES: u64 = 20;

fn users() -> (User, User) {
    (User::new(1), User::new(2))
}

/// A replica over a folder, and the layer 1 that it follows.
struct Replica {
    layer1: Layer1,
    core: RwLock<Core>,
    folder: TempDir,
}

fn load(folder: &TempDir) -> Core {
    let setup = Setup { role: Role::Replica, key: None, confirmations: 1, batch_age_ms: 0, misbehave: None };
    let store = SqliteStore::open(folder.path()).expect("a store");
    Core::load(setup, Layer1::new().chain, Box::new(store)).expect("loaded").0
}

impl Replica {
    /// Deposits and payments in many batches, all of them final, none of them deep.
    fn new() -> Self {
        let mut layer1 = Layer1::new();
        fill(&mut layer1, 3);
        let folder = tempfile::tempdir().expect("a folder");
        let core = RwLock::new(load(&folder));
        let replica = Self { layer1, core, folder };
        replica.follow(None, replica.layer1.height());
        replica
    }

    fn follow(&self, drop_from: Option<u64>, count: usize) {
        Core::follow(&self.core, self.layer1.news(drop_from, count)).expect("followed");
    }

    fn mine(&mut self, count: usize) {
        for _ in 0..count {
            self.layer1.mine(Vec::new());
        }
        self.follow(None, count);
    }

    fn base(&self) -> u64 {
        read(&self.core).chain.base.id
    }

    /// A start, after a stop that has waited for the snapshot.
    fn restart(self) -> Self {
        write(&self.core).snapshots.writing().end();
        let Self { layer1, core, folder } = self;
        drop(core);
        let core = RwLock::new(load(&folder));
        write(&core).chain.synced = true;
        Self { layer1, core, folder }
    }

    /// Everything that can be asked about what is old.
    fn answers(&self) -> Vec<Value> {
        let core = read(&self.core);
        let (alice, bob) = users();
        let mut answers = Vec::new();
        for account in [alice.address, bob.address, User::new(9).address] {
            for cursor in [0, 1, 7, 18, 30, 99] {
                answers.push(show::messages(&core, account, cursor).expect("a page"));
            }
            answers.push(show::exit_proof(&core, account).expect("a proof"));
        }
        for id in 1..=BATCHES {
            answers.push(show::batch(&core, id).expect("it stands"));
        }
        let page = answers[0]["messages"].as_array().expect("a list").clone();
        for id in page.iter().filter_map(|message| message["id"].as_str()) {
            answers.push(show::message(&core, id.parse().expect("an id")).expect("known"));
        }
        assert!(answers.len() > 50);
        answers
    }
}

fn fill(layer1: &mut Layer1, value: u128) {
    let (alice, bob) = users();
    for round in 0..BATCHES {
        layer1.deposit(alice.address, 10);
        let payment = alice.pay(&layer1.chain.leaf(alice.address), bob.address, value);
        let messages = if round == 0 { Vec::new() } else { vec![payment] };
        layer1.submit(&layer1.batch(&messages));
    }
    for _ in 0..CHALLENGE {
        layer1.mine(Vec::new());
    }
}

#[test]
fn what_lies_below_the_base_is_answered_as_before_also_after_a_start() {
    let mut replica = Replica::new();
    assert_eq!(replica.base(), 0, "final, but not deep");
    let before = replica.answers();
    // The base follows the window through the batches.
    replica.mine(WINDOW - 100);
    let half = replica.base();
    assert!(half > 0 && half < BATCHES, "{half}");
    assert_eq!(replica.answers(), before);
    replica.mine(WINDOW);
    assert_eq!(replica.base(), BATCHES);
    assert_eq!(replica.answers(), before);
    {
        let core = read(&replica.core);
        assert!(core.chain.batch_at(BATCHES).is_none() && core.chain.history(users().0.address).is_empty());
        assert_eq!(core.chain.inbox.start(), BATCHES);
        assert!(show::account(&core, users().0.address, Some(3)).is_err(), "its state is kept no more");
        assert!(show::contest_witness(&core, 3, Some(0)).is_err());
    }
    let replica = replica.restart();
    assert_eq!(replica.base(), BATCHES, "the start was made from the snapshot");
    assert_eq!(replica.answers(), before);
    let file = snapshot::file_in(replica.folder.path());
    #[allow(clippy::disallowed_methods, reason = "as an operator might")]
    std::fs::remove_file(&file).expect("removed");
    let unfinished = file.with_file_name("base.snapshot.77.new");
    entresol_durable::write_file_atomically(&unfinished, b"half of it", false).expect("written");
    let replica = replica.restart();
    assert!(!unfinished.exists(), "what a kill has left is cleared away");
    assert_eq!(replica.base(), BATCHES, "what was settled goes below the base without a snapshot as well");
    assert_eq!(replica.answers(), before);
}

#[test]
fn a_snapshot_whose_old_answers_are_gone_is_passed_over() {
    let mut replica = Replica::new();
    let before = replica.answers();
    replica.mine(2 * WINDOW);
    write(&replica.core).snapshots.writing().end();
    // As when layer 1 goes to another fork and comes back.
    let database = rusqlite::Connection::open(replica.folder.path().join("node.sqlite")).expect("the file");
    for table in ["settled", "effects", "history"] {
        database.execute(&format!("DELETE FROM {table} WHERE batch > 3"), []).expect("deleted");
    }
    let replica = replica.restart();
    assert_eq!((replica.base(), replica.answers()), (BATCHES, before));
}

#[test]
fn a_kill_between_what_is_written_and_the_base_is_made_up_for() {
    let mut replica = Replica::new();
    let before = replica.answers();
    replica.mine(WINDOW - 100);
    let half = replica.base();
    {
        let core = read(&replica.core);
        core.store().settle(&settled(&core.chain, core.settled, BATCHES)).expect("written");
    }
    let replica = replica.restart();
    assert_eq!((replica.base(), replica.answers()), (BATCHES, before.clone()));
    // Layer 1 takes the newest of them back: what lies before stays written.
    let block = replica.layer1.height() - usize::try_from(CHALLENGE).expect("small") - (WINDOW - 100) - 1;
    let store = Arc::clone(&read(&replica.core).store);
    let mut store = store.lock().expect("the store");
    store.apply_blocks(Some(block as u64), &[]).expect("written");
    assert_eq!(store.settled_to().expect("readable"), BATCHES - 1);
    assert!(half < BATCHES - 1);
}

#[test]
fn a_snapshot_that_is_damaged_or_foreign_or_of_another_fork_is_passed_over() {
    let mut replica = Replica::new();
    let before = replica.answers();
    replica.mine(2 * WINDOW);
    write(&replica.core).snapshots.writing().end();
    let file = snapshot::file_in(replica.folder.path());
    let domain = replica.layer1.chain.domain;
    let good = std::fs::read(&file).expect("a snapshot");
    let found = snapshot::read(&file, &domain).expect("good").expect("there");
    assert_eq!((found.base.id, found.base.state.root()), (BATCHES, replica.layer1.chain.verified_state().root()));
    let other = payments_protocol::Domain::new(1, domain.gateway());
    assert!(snapshot::read(&file, &other).expect_err("foreign").contains("chain 31337"));
    let keep = |bytes: &[u8]| entresol_durable::write_file_atomically(&file, bytes, false).expect("written");
    for place in [0, 40, good.len() / 2, good.len() - 40, good.len() - 1] {
        let mut bad = good.clone();
        bad[place] ^= 1;
        keep(&bad);
        assert!(snapshot::read(&file, &domain).is_err(), "byte {place}");
    }
    keep(&good[..good.len() - 92]);
    assert!(snapshot::read(&file, &domain).is_err());
    let mut lied = found.clone();
    lied.base.state.set(users().1.address, payments_protocol::Leaf { balance: 99, ..Default::default() });
    snapshot::write(&file, &domain, &lied).expect("written");
    assert!(snapshot::read(&file, &domain).expect_err("false").contains("do not hash"));
    // One that reads well, of a batch that layer 1 does not have.
    let mut elsewhere = found;
    elsewhere.base.log_index += 1;
    snapshot::write(&file, &domain, &elsewhere).expect("written");
    let replica = replica.restart();
    assert_eq!(replica.answers(), before);
}

#[test]
fn layer_1_that_contradicts_the_base_is_believed_and_said_aloud() {
    let mut replica = Replica::new();
    replica.mine(2 * WINDOW);
    assert_eq!(replica.base(), BATCHES);
    // Another fork from the very beginning, with other payments.
    let height = replica.layer1.height();
    replica.layer1.reorganise(height - 1);
    fill(&mut replica.layer1, 2);
    let fresh = replica.layer1.fresh();
    let count = replica.layer1.height() - 1;
    replica.follow(Some(1), count);
    {
        let core = read(&replica.core);
        assert_eq!((core.chain.base.id, core.chain.verified_id()), (0, BATCHES));
        assert_eq!(core.chain.verified_state().root(), fresh.verified_state().root());
        assert_eq!(core.alerts.counts()["base-lost"], 1);
    }
    let before = replica.answers();
    // The snapshot of the other fork is worth nothing now, and a new base is found.
    let mut replica = replica.restart();
    assert_eq!((replica.base(), replica.answers()), (0, before.clone()));
    replica.mine(2 * WINDOW);
    assert_eq!((replica.base(), replica.answers()), (BATCHES, before.clone()));
    let replica = replica.restart();
    assert_eq!((replica.base(), replica.answers()), (BATCHES, before));
}

#[test]
fn a_reorganisation_above_the_base_folds_from_the_base() {
    let mut replica = Replica::new();
    replica.mine(2 * WINDOW);
    let (alice, bob) = users();
    let height = replica.layer1.height();
    replica.layer1.deposit(bob.address, 5);
    let payment = alice.pay(&replica.layer1.chain.leaf(alice.address), bob.address, 1);
    replica.layer1.submit(&replica.layer1.batch(&[payment]));
    replica.follow(None, 2);
    assert_eq!((replica.base(), read(&replica.core).chain.verified_id()), (BATCHES, BATCHES + 1));
    replica.layer1.reorganise(2);
    replica.layer1.deposit(alice.address, 6);
    replica.layer1.submit(&replica.layer1.batch(&[]));
    replica.follow(Some(height as u64), 2);
    let replica = replica.restart();
    let core = read(&replica.core);
    assert_eq!((core.chain.base.id, core.chain.verified_id()), (BATCHES, BATCHES + 1));
    assert_eq!(core.chain.verified_state().root(), replica.layer1.fresh().verified_state().root());
    assert_eq!(core.chain.inbox.len(), BATCHES + 1);
}

#[test]
fn a_withdrawal_of_old_that_is_posted_again_stops_nobody() {
    let mut replica = Replica::new();
    let alice = users().0;
    let page = replica.answers().swap_remove(0);
    let old = page["messages"].as_array().expect("a list").iter().rev().find_map(|message| message["id"].as_str());
    let old: B256 = old.expect("one").parse().expect("an id");
    replica.mine(2 * WINDOW);
    let item = replica.layer1.item(ItemKind::PostedWithdraw, alice.address, 3);
    replica.layer1.mine(vec![item_log(&payments_protocol::Item { message_id: old, ..item })]);
    replica.follow(None, 1);
    assert!(!read(&replica.core).chain.exit_waits(alice.address));
    let replica = replica.restart();
    assert!(!read(&replica.core).chain.exit_waits(alice.address), "nor after a start");
}
