use super::*;
use crate::chain::testing::{batch_log, item_log, tx};

fn deposit() -> Item {
    Item {
        index: 4,
        kind: ItemKind::Deposit,
        who: Address::repeat_byte(1),
        value: 7,
        fee: 0,
        time: 9,
        message_id: B256::ZERO,
        depositor: Address::repeat_byte(2),
    }
}

#[test]
fn an_item_reads_back_as_it_was_told() {
    assert_eq!(read(&item_log(&deposit())), GatewayEvent::Item(deposit()));
}

#[test]
fn a_log_that_does_not_read_is_an_alarm_not_a_gap() {
    let mut log = item_log(&deposit());
    log.data = log.data.slice(..32);
    assert!(matches!(read(&log), GatewayEvent::Unreadable(_)));
    let mut log = item_log(&deposit());
    log.topics.pop();
    assert!(matches!(read(&log), GatewayEvent::Unreadable(_)));
}

#[test]
fn only_batches_need_their_transaction() {
    assert!(!needs_input(&item_log(&deposit())));
    let event = BatchEvent {
        id: 1,
        commitment: B256::repeat_byte(1),
        proposer: Address::repeat_byte(2),
        inbox_start: 0,
        inbox_end: 1,
        root: B256::repeat_byte(3),
        input: Bytes::from_static(b"input"),
    };
    let log = batch_log(&event, tx(1));
    assert!(needs_input(&log));
    assert_eq!(read(&log), GatewayEvent::Batch(event));
}
