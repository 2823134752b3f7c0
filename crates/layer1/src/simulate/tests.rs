use alloy::primitives::{B256, address, b256};

use super::claims::{Claim, claims};
use super::*;

const TOKEN: Address = Address::repeat_byte(0x70);
const ALICE: Address = Address::repeat_byte(0xa1);
const BOB: Address = Address::repeat_byte(0xb0);
const TRANSFER: B256 = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");

fn transfer(amount: U256) -> RawLog {
    RawLog { address: TOKEN, ..RawLog::ether(ALICE, BOB, amount) }
}

fn signed(value: i64) -> I256 {
    I256::try_from(value).expect("fits")
}

#[test]
fn logs_are_read_and_broken_ones_are_none() {
    assert_eq!(claims(&transfer(U256::from(5)))[..], [Claim::Erc20 { from: ALICE, to: BOB, amount: U256::from(5) }]);
    let ether = RawLog::ether(ALICE, BOB, U256::from(6));
    assert_eq!(ether.address, address!("eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"));
    assert_eq!(claims(&ether)[..], [Claim::Ether { from: ALICE, to: BOB, amount: U256::from(6) }]);
    for topics in [vec![], vec![TRANSFER], vec![TRANSFER; 2], vec![TRANSFER; 3], vec![TRANSFER; 9], vec![B256::ZERO; 4]]
    {
        assert!(claims(&RawLog { address: TOKEN, topics, data: Bytes::new() }).is_empty());
    }
}

#[test]
fn what_was_read_counts_and_not_what_the_log_claims() {
    let logs = [transfer(U256::from(500))];
    let reads = [ALICE, BOB].map(|account| Read { token: TOKEN, what: reads::What::Balance { account } });
    let (before, after) = ([Some(U256::from(10)), Some(U256::ZERO)], [Some(U256::from(7)), Some(U256::ZERO)]);
    let effects = assemble(nothing("eth_simulateV1"), &logs, &reads, &before, &after, true);
    let kind = TokenChangeKind::Erc20 { delta: signed(-3) };
    assert_eq!(effects.tokens, [TokenChange { token: TOKEN, account: ALICE, kind }]);
    assert!(effects.complete);
}

#[test]
fn a_claim_that_no_read_settles_is_shown_and_the_effects_are_not_complete() {
    let effects = assemble(nothing("eth_simulateV1"), &[transfer(U256::MAX)], &[], &[], &[], true);
    assert_eq!(effects.tokens.len(), 2);
    assert_eq!(effects.tokens[1].kind, TokenChangeKind::Erc20 { delta: I256::MAX }, "cut, without a panic");
    assert!(!effects.complete);
}

#[test]
fn ether_that_comes_back_is_no_change() {
    let logs = [RawLog::ether(ALICE, BOB, U256::from(5)), RawLog::ether(BOB, ALICE, U256::from(5))];
    assert_eq!(assemble(nothing("eth_call"), &logs, &[], &[], &[], false).ether, []);
}

#[test]
fn more_reads_than_the_cap_are_not_complete_and_the_callers_own_stay() {
    let logs: Vec<RawLog> = (0..400_u16)
        .map(|n| RawLog { address: Address::left_padding_from(&n.to_be_bytes()), ..transfer(U256::from(1)) })
        .collect();
    let call = CallRequest { from: ALICE, to: TOKEN.into(), value: U256::ZERO, input: Bytes::new() };
    let plan = Plan::new(&call, &logs, &[]);
    assert!(!plan.complete);
    let quiet = Plan::new(&call, &[], &[]);
    assert!(
        quiet.complete && quiet.reads.contains(&Read { token: TOKEN, what: reads::What::Balance { account: ALICE } })
    );
}

#[test]
fn an_undone_inner_call_of_a_trace_moves_nothing() {
    let frame: Frame = serde_json::from_value(json!({
        "type": "CALL", "from": ALICE, "to": BOB, "value": "0x5", "gasUsed": "0x5208",
        "calls": [
            { "type": "CALL", "from": BOB, "to": TOKEN, "value": "0x3", "gasUsed": "0x1", "error": "execution reverted" },
            { "type": "DELEGATECALL", "from": BOB, "to": TOKEN, "value": "0x5", "gasUsed": "0x1" },
            { "type": "SELFDESTRUCT", "from": BOB, "to": ALICE, "value": "0x1", "gasUsed": "0x0" },
        ],
    }))
    .expect("a frame");
    let mut logs = Vec::new();
    frame.collect(&mut logs);
    let effects = assemble(nothing("debug_traceCall"), &logs, &[], &[], &[], false);
    let deltas: Vec<_> = effects.ether.iter().map(|one| (one.account, one.delta)).collect();
    assert_eq!(deltas, [(ALICE, signed(-4)), (BOB, signed(4))]);
}
