use super::*;
use alloy::primitives::{Address, Bytes};
use entresol_store::TransactionState;

fn sent(state: TransactionState, success: Option<bool>) -> Option<Transaction> {
    Some(Transaction {
        hash: "0x11".into(),
        chain_id: 1,
        from: "0x9858effd232b4033e47d90003d41ec34ecaeda94".into(),
        nonce: 0,
        raw: "0x".into(),
        approval_id: None,
        solution: None,
        purpose: "send".into(),
        state,
        block_number: None,
        block_hash: None,
        success,
        gas_used: None,
        effective_gas_price: None,
        failure: None,
        created_at: 5,
        updated_at: 5,
    })
}

#[test]
fn the_status_says_how_far_a_bundle_is_and_never_more() {
    let done = || sent(TransactionState::Included, Some(true));
    let reverted = || sent(TransactionState::Failed, Some(false));
    let open = || sent(TransactionState::Broadcast, None);
    let refused = || sent(TransactionState::Failed, None);
    let cases = [
        (ApprovalState::Pending, vec![None, None], 100),
        (ApprovalState::Approved, vec![done(), None], 100),
        (ApprovalState::Approved, vec![done(), done()], 100),
        (ApprovalState::Rejected, vec![None, None], 400),
        (ApprovalState::Expired, vec![None, None], 400),
        (ApprovalState::Done, vec![done(), done()], 200),
        // A reorganisation took the second one back.
        (ApprovalState::Done, vec![done(), open()], 100),
        (ApprovalState::Failed, vec![None, None], 400),
        (ApprovalState::Failed, vec![refused(), None], 400),
        (ApprovalState::Failed, vec![reverted(), None], 500),
        (ApprovalState::Failed, vec![done(), reverted()], 600),
        (ApprovalState::Failed, vec![done(), None], 600),
    ];
    for (state, transactions, expect) in cases {
        assert_eq!(status(state, &transactions), expect, "{state:?} {transactions:?}");
    }
}

#[test]
fn row_09_a_bundle_is_bound_to_every_call_and_their_order() {
    let call = |value: u64| Intent::Transaction {
        chain_id: 1,
        from: Address::repeat_byte(1),
        to: Address::repeat_byte(2).into(),
        value: U256::from(value),
        input: Bytes::new(),
        max_total_fee: U256::from(100),
    };
    let bundle = |calls| Bundle {
        caller: Caller::App { name: "shop".into() },
        bundle_id: "one".into(),
        named: true,
        network: "dev".into(),
        signer: Signer::Owner { index: 0 },
        calls,
    };
    let agreed = bundle(vec![call(1), call(2)]).digest();
    for other in [vec![call(2), call(1)], vec![call(1)], vec![call(1), call(2), call(2)], vec![call(1), call(3)]] {
        assert_ne!(bundle(other.clone()).digest(), agreed, "{other:?}");
    }
}

#[test]
fn what_cannot_be_had_is_refused_by_its_own_code() {
    let good = json!({
        "version": "2.0.0", "chainId": "0x1", "atomicRequired": false, "calls": [{ "to": null, "data": "0x00" }]
    });
    let refused = |changes: Json| {
        let mut given = good.clone();
        for (name, value) in changes.as_object().expect("an object") {
            given[name] = value.clone();
        }
        check(&serde_json::from_value(given).expect("it fits")).err().map(|error| error.code)
    };
    let many: Vec<Json> = (0..=MAX_CALLS).map(|_| json!({ "data": "0x00" })).collect();
    let cases = [
        (json!({}), None),
        (json!({ "capabilities": { "paymasterService": { "optional": true } } }), None),
        (json!({ "capabilities": { "paymasterService": {} } }), Some(code::UNSUPPORTED_CAPABILITY)),
        (json!({ "calls": [{ "capabilities": { "x": { "optional": false } } }] }), Some(code::UNSUPPORTED_CAPABILITY)),
        (json!({ "version": "1.0" }), Some(code::INVALID_PARAMS)),
        (json!({ "atomicRequired": true }), Some(code::NOT_ATOMIC)),
        (json!({ "calls": [] }), Some(code::INVALID_PARAMS)),
        (json!({ "calls": many }), Some(code::BUNDLE_TOO_LARGE)),
        (json!({ "id": "" }), Some(code::INVALID_PARAMS)),
        (json!({ "id": "x".repeat(MAX_ID + 1) }), Some(code::INVALID_PARAMS)),
    ];
    for (changes, expect) in cases {
        assert_eq!(refused(changes.clone()), expect, "{changes}");
    }
}
