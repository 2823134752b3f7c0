use super::*;
use crate::layer1::GatewayLog;

fn open(dir: &tempfile::TempDir) -> SqliteStore {
    SqliteStore::open(dir.path()).expect("a store")
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn logged(sequence: u64) -> LoggedMessage {
    LoggedMessage {
        sequence,
        id: B256::with_last_byte(sequence.to_le_bytes()[0]),
        record: Record {
            kind: 1,
            from: Address::repeat_byte(1),
            to: Address::repeat_byte(2),
            value: 5,
            fee_gwei: 6,
            signature: Signature { r: B256::repeat_byte(3), s: B256::repeat_byte(4), v: 28 },
        },
        nonce: sequence,
        prev: B256::repeat_byte(5),
        time: 7,
        previous_receipt: B256::repeat_byte(6),
    }
}

fn seal(first: u64, count: u64) -> Seal {
    Seal { first, count, signature: Signature { r: B256::repeat_byte(7), s: B256::repeat_byte(8), v: 27 } }
}

fn block(number: u64, fork: u8, logs: usize) -> StepBlock {
    let hash = B256::from([&[fork; 24][..], &number.to_be_bytes()].concat().try_into().unwrap_or([0; 32]));
    let block = BlockRef { number, hash, parent: B256::repeat_byte(9), timestamp: 1_000 + number };
    let log = |index: usize| GatewayLog {
        block_number: number,
        block_hash: hash,
        log_index: index as u64,
        transaction: B256::repeat_byte(fork),
        topics: vec![B256::repeat_byte(1), B256::repeat_byte(2)],
        data: Bytes::from_static(b"data"),
        input: (index == 0).then(|| Bytes::from_static(b"input")),
    };
    StepBlock { block, logs: (0..logs).map(log).collect() }
}

fn shown(store: &mut SqliteStore) -> Vec<(u64, B256, Vec<GatewayLog>)> {
    let blocks = store.blocks(0, u64::MAX).expect("readable");
    blocks.into_iter().map(|step| (step.block.number, step.block.hash, step.logs)).collect()
}

#[test]
fn the_message_log_reads_back_as_written_and_cannot_be_changed() {
    let dir = folder();
    let log = [logged(0), logged(1)];
    let mut store = open(&dir);
    store.append_messages(&log, &[seal(0, 2)]).expect("written");
    assert!(store.append_messages(&[logged(1)], &[seal(1, 1)]).is_err(), "a sequence number is given once");
    assert!(store.append_messages(&[logged(2)], &[seal(0, 3)]).is_err(), "and signed once");
    drop(store);
    let mut store = open(&dir);
    assert_eq!(
        (store.messages(0).expect("readable"), store.seals(0).expect("readable")),
        (log.into(), vec![seal(0, 2)])
    );
    drop(store);
    let raw = rusqlite::Connection::open(dir.path().join("node.sqlite")).expect("the file");
    assert!(raw.execute("DELETE FROM messages", []).is_err());
    assert!(raw.execute("UPDATE messages SET time = 0", []).is_err());
    assert!(raw.execute("DELETE FROM seals", []).is_err());
    assert!(raw.execute("UPDATE seals SET count = 1", []).is_err());
}

#[test]
fn the_first_message_of_interest_is_the_first_of_its_group() {
    let dir = folder();
    let mut store = open(&dir);
    assert_eq!(store.first_unsettled(0, &|_, _| true).expect("readable"), 0, "an empty log");
    let nonces = |sequence: u64| LoggedMessage { nonce: sequence, ..logged(sequence) };
    store.append_messages(&[0, 1].map(nonces), &[seal(0, 2)]).expect("written");
    store.append_messages(&[2, 3, 4].map(nonces), &[seal(2, 3)]).expect("written");
    for (used_up, first) in [(0, 0), (1, 0), (2, 2), (4, 2), (5, 5)] {
        assert_eq!(store.first_unsettled(0, &|_, nonce| nonce < used_up).expect("readable"), first, "{used_up}");
    }
    assert_eq!(store.first_unsettled(2, &|_, nonce| nonce < 5).expect("readable"), 5);
    assert_eq!(store.seals(2).expect("readable"), [seal(2, 3)]);
}

#[test]
fn a_group_of_messages_is_written_whole_or_not_at_all() {
    let dir = folder();
    let mut store = open(&dir);
    assert!(store.append_messages(&[logged(0), logged(0)], &[seal(0, 2)]).is_err());
    assert!(store.append_messages(&[logged(0)], &[seal(0, 1), seal(0, 1)]).is_err());
    assert_eq!((store.messages(0).expect("readable"), store.seals(0).expect("readable")), (vec![], vec![]));
}

#[test]
fn blocks_are_forgotten_from_the_fork_on_with_their_logs() {
    let dir = folder();
    let mut store = open(&dir);
    let old: Vec<_> = (1..=4).map(|number| block(number, 1, 2)).collect();
    store.apply_blocks(None, &old).expect("written");
    store.apply_blocks(Some(3), &[block(3, 2, 1)]).expect("written");
    let expected: Vec<_> = [block(1, 1, 2), block(2, 1, 2), block(3, 2, 1)]
        .into_iter()
        .map(|step| (step.block.number, step.block.hash, step.logs))
        .collect();
    assert_eq!(shown(&mut store), expected);
}

#[test]
fn old_blocks_without_events_are_dropped_and_the_tail_stays_gapless() {
    let dir = folder();
    let mut store = open(&dir);
    let blocks: Vec<_> = (0..600).map(|number| block(number, 1, usize::from(number == 10))).collect();
    for step in blocks.chunks(64) {
        store.apply_blocks(None, step).expect("written");
    }
    let kept = store.blocks(0, u64::MAX).expect("readable");
    assert_eq!(kept[0].block.number, 10);
    let tail = tail_of(&kept.iter().map(|step| step.block).collect::<Vec<_>>());
    assert_eq!((tail[0].number, tail[tail.len() - 1].number), (599 - 256, 599));
}

#[test]
fn a_store_belongs_to_one_gateway_and_says_so() {
    let dir = folder();
    let mine = Identity { chain_id: 1, gateway: Address::repeat_byte(1), role: "operator".to_owned(), from_block: 0 };
    let mut store = open(&dir);
    store.claim(&mine).expect("empty");
    store.claim(&mine).expect("the same again");
    let other = Identity { gateway: Address::repeat_byte(2), ..mine };
    let error = store.claim(&other).expect_err("another gateway").to_string();
    assert!(error.contains("--data-dir"), "{error}");
}

#[test]
fn transactions_keep_their_state() {
    let dir = folder();
    let mut store = open(&dir);
    let mut outgoing = OutgoingTransaction {
        hash: B256::repeat_byte(1),
        nonce: 3,
        purpose: Purpose::Batch(9),
        raw: Bytes::from_static(b"raw"),
        state: TransactionState::Open,
    };
    store.put_transaction(&outgoing).expect("written");
    for state in [
        TransactionState::Done { block: 5 },
        TransactionState::Open,
        TransactionState::Reverted { block: 6 },
        TransactionState::Replaced,
    ] {
        store.set_transaction(outgoing.hash, state).expect("written");
        outgoing.state = state;
        assert_eq!(store.transactions(0).expect("readable"), [outgoing.clone()]);
    }
}

#[test]
fn transactions_that_were_settled_long_ago_are_left_where_they_are() {
    let dir = folder();
    let mut store = open(&dir);
    let outgoing = |number: u8, nonce, state| OutgoingTransaction {
        hash: B256::repeat_byte(number),
        nonce,
        purpose: Purpose::Batch(9),
        raw: Bytes::from_static(b"raw"),
        state,
    };
    let all = [
        outgoing(1, 0, TransactionState::Done { block: 5 }),
        outgoing(2, 1, TransactionState::Replaced),
        outgoing(3, 1, TransactionState::Reverted { block: 7 }),
        outgoing(4, 2, TransactionState::Done { block: 9 }),
        outgoing(5, 3, TransactionState::Open),
    ];
    for transaction in &all {
        store.put_transaction(transaction).expect("written");
    }
    for (settled, left) in [(0, 0), (4, 0), (5, 1), (6, 1), (7, 3), (8, 3), (99, 4)] {
        assert_eq!(store.transactions(settled).expect("readable"), all[left..], "up to block {settled}");
    }
}

#[test]
fn batches_found_true_are_noted_once_and_forgotten_together() {
    let dir = folder();
    let mut store = open(&dir);
    let key = |number: u8| (B256::repeat_byte(number), B256::repeat_byte(9));
    store.note_found(&[key(1), key(2)], false).expect("written");
    store.note_found(&[key(2), key(3)], false).expect("the same again");
    assert_eq!(store.found().expect("readable"), [key(1), key(2), key(3)].into());
    store.note_found(&[key(4)], true).expect("written");
    assert_eq!(store.found().expect("readable"), [key(4)].into());
}

#[test]
fn a_store_of_an_earlier_version_is_taken_over_with_its_receipts() {
    for schemas in [&[sqlite::SCHEMA][..], &[sqlite::SCHEMA, sqlite::SCHEMA_2]] {
        let dir = folder();
        let plain = rusqlite::Connection::open(dir.path().join("node.sqlite")).expect("a database");
        for schema in schemas {
            #[allow(clippy::disallowed_methods, reason = "a file as an earlier version left it")]
            plain.execute_batch(schema).expect("as it was");
        }
        let logged = logged(0);
        let (record, signature) = (logged.record.encode(), seal(0, 0).signature.to_bytes());
        let insert =
            "INSERT INTO messages (sequence, id, record, nonce, prev, time, previous_receipt, receipt_signature)
            VALUES (0, ?1, ?2, 0, ?3, 7, ?4, ?5)";
        let row = rusqlite::params![
            logged.id.as_slice(),
            record.as_slice(),
            logged.prev.as_slice(),
            logged.previous_receipt.as_slice(),
            signature.as_slice()
        ];
        plain.execute(insert, row).expect("written");
        drop(plain);
        let mut store = open(&dir);
        assert_eq!(store.messages(0).expect("readable"), [logged]);
        assert_eq!(store.seals(0).expect("readable"), [seal(0, 0)], "signed alone, as it was");
        assert_eq!(store.found().expect("readable").len(), 0);
    }
}
