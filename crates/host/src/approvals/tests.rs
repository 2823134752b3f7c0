use super::*;
use alloy::primitives::{Address, Bytes, U256};

#[test]
fn the_pause_after_rejections_grows_and_ends() {
    const MINUTE: u64 = 60_000;
    assert_eq!(cool_down(&[], 100), 0);
    assert_eq!(cool_down(&[100, 99], 100), 0, "two are patience");
    assert_eq!(cool_down(&[100, 99, 98], 100), MINUTE);
    assert_eq!(cool_down(&[100, 99, 98], 100 + MINUTE - 1), 1);
    assert_eq!(cool_down(&[100, 99, 98], 100 + MINUTE), 0);
    assert_eq!(cool_down(&[100; 4], 100), 2 * MINUTE);
    assert_eq!(cool_down(&[100; 50], 100), 60 * MINUTE, "never more than an hour");
}

fn approval(kind: &str, intent: Json, digest: String) -> Approval {
    Approval {
        id: 1,
        request: NewApproval {
            kind: kind.into(),
            requester: json!({ "who": "app:bot" }),
            request_key: None,
            solution: Some(1),
            cause: json!([]),
            intent,
            digest,
            shown: Json::Null,
            created_at: 0,
            expires_at: 0,
        },
        state: ApprovalState::Approved,
        choice: Json::Null,
        decided_by: None,
        decided_at: None,
        outcome: None,
    }
}

/// Every text, number and list in `json` is changed once; each change must be found.
fn every_change(json: &Json, change: &mut dyn FnMut(&Json)) {
    fn walk(root: &Json, at: &str, json: &Json, change: &mut dyn FnMut(&Json)) {
        let children: Vec<(String, &Json)> = match json {
            Json::Object(map) => map.iter().map(|(key, value)| (format!("{at}/{key}"), value)).collect(),
            Json::Array(list) => list.iter().enumerate().map(|(i, value)| (format!("{at}/{i}"), value)).collect(),
            _ => {
                let mut other = root.clone();
                let Some(place) = other.pointer_mut(at) else { return };
                *place = match json {
                    Json::String(text) if text.starts_with("0x") => {
                        let last = if text.ends_with('7') { '8' } else { '7' };
                        json!(format!("{}{last}", &text[..text.len() - 1]))
                    }
                    Json::String(text) => json!(format!("{text}x")),
                    Json::Number(number) => json!(number.as_i64().unwrap_or_default() + 1),
                    Json::Bool(value) => json!(!value),
                    _ => json!("x"),
                };
                return change(&other);
            }
        };
        for (at, child) in children {
            walk(root, &at, child, change);
        }
    }
    walk(json, "", json, change);
}

#[test]
fn row_09_a_stored_intent_that_was_edited_is_not_carried_out() {
    let plan = CallPlan {
        caller: crate::Caller::App { name: "bot".into() },
        solution: 1,
        action: "pay".into(),
        params: json!({ "to": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", "value": { "$n": "5" } }),
        call_id: Some("once".into()),
        inherited: Vec::new(),
    };
    let digest = plan.digest().expect("a digest");
    let stored = serde_json::to_value(&plan).expect("JSON");
    check_intent(&approval("call", stored.clone(), digest.clone())).expect("as it was");
    let mut changes = 0;
    every_change(&stored, &mut |edited| {
        changes += 1;
        assert!(check_intent(&approval("call", edited.clone(), digest.clone())).is_err(), "{edited}");
    });
    assert!(changes >= 6, "{changes}");

    let intent = Intent::Transaction {
        chain_id: 31337,
        from: Address::repeat_byte(1),
        to: Address::repeat_byte(2).into(),
        value: U256::from(5),
        input: Bytes::from_static(&[1, 2, 3, 4]),
        max_total_fee: U256::from(100),
    };
    let digest = intent.digest().to_string();
    let stored = json!({ "intent": intent, "signer": { "account": "owner", "index": 0 }, "network": "dev", "role": "",
                         "function": "" });
    check_intent(&approval("deposit", stored.clone(), digest.clone())).expect("as it was");
    let mut changes = 0;
    every_change(&stored["intent"].clone(), &mut |edited| {
        changes += 1;
        let edited =
            json!({ "intent": edited, "signer": stored["signer"], "network": "dev", "role": "", "function": "" });
        assert!(check_intent(&approval("deposit", edited.clone(), digest.clone())).is_err(), "{edited}");
    });
    assert!(changes >= 6, "{changes}");
    // The digest of another request does not fit either.
    let other = format!("0x{}", "11".repeat(32));
    assert!(check_intent(&approval("deposit", stored, other)).is_err());
}
