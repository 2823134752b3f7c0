use super::*;

fn block(number: u64, fork: u8) -> BlockRef {
    BlockRef { number, hash: B256::left_padding_from(&[fork, number as u8]) }
}

fn log(number: u64, fork: u8, log_index: u64) -> Log {
    Log {
        address: Address::ZERO,
        topics: Vec::new(),
        data: Bytes::new(),
        block_number: number,
        block_hash: block(number, fork).hash,
        transaction_hash: B256::ZERO,
        log_index,
    }
}

#[test]
fn logs_are_taken_back_newest_first() {
    let mut position = Position::at(5);
    let logs = [log(6, 0, 0), log(6, 0, 1), log(8, 0, 0)];
    position.advance(9, &[block(5, 0), block(6, 0), block(7, 0), block(8, 0), block(9, 0)], &logs, 64);
    assert_eq!(position.next_block(), 10);
    assert_eq!(position.undo(), []);
    assert_eq!(position.undo(), [log(8, 0, 0)]);
    assert_eq!(position.next_block(), 8);
    assert_eq!(position.undo(), []);
    assert_eq!(position.undo(), [log(6, 0, 1), log(6, 0, 0)]);
    assert_eq!(position.next_block(), 6);
}

#[test]
fn a_sparse_window_goes_back_to_the_last_block_it_knows() {
    let mut position = Position::at(0);
    position.advance(20, &[block(20, 0)], &[log(12, 0, 0)], 64);
    assert_eq!(position.undo(), []);
    assert_eq!(position.next_block(), 13, "13 to 20 held no logs, and are read again");
    assert_eq!(position.undo(), [log(12, 0, 0)]);
    assert_eq!(position.next_block(), 12, "nothing below is known");
}

#[test]
fn only_recent_blocks_are_kept() {
    let mut position = Position::at(0);
    for number in 0..200 {
        position.advance(number, &[block(number, 0)], &[log(number, 0, 0)], 10);
    }
    assert_eq!(position.window.len(), 10);
    assert_eq!(position.top(), Some(block(199, 0)));
}

#[test]
fn a_position_survives_its_serialisation() {
    let mut position = Position::at(3);
    position.advance(4, &[block(3, 0), block(4, 0)], &[log(4, 0, 7)], 64);
    let text = serde_json::to_string(&position).expect("serialised");
    assert_eq!(serde_json::from_str::<Position>(&text).expect("parsed"), position);
    let value = serde_json::to_value(&position).expect("serialised");
    assert_eq!(serde_json::from_value::<Position>(value).expect("parsed"), position);
}

#[test]
fn an_end_at_the_largest_number_does_not_panic() {
    let mut position = Position::at(u64::MAX - 1);
    position.advance(u64::MAX, &[], &[], 64);
    assert_eq!(position.next_block(), u64::MAX);
}
