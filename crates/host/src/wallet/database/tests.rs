use super::*;

#[test]
fn equal_values_are_equal_bytes() {
    let (mut one, mut two) = (serde_json::Map::new(), serde_json::Map::new());
    for name in ["b", "a", "$n"] {
        one.insert(name.into(), json!([1, { "y": null, "x": "\u{202e}\"" }]));
    }
    for name in ["$n", "a", "b"] {
        two.insert(name.into(), json!([1, { "x": "\u{202e}\"", "y": null }]));
    }
    let (one, two) = (Json::Object(one), Json::Object(two));
    let kept = value(Some(&one)).expect("fits").expect("a value");
    assert_eq!(kept, value(Some(&two)).expect("fits").expect("a value"));
    assert_eq!(serde_json::from_slice::<Json>(&kept).expect("reads back"), one);
    assert_eq!(value(Some(&Json::Null)).expect("fits"), None);
    assert_eq!(value(None).expect("fits"), None);
}

#[test]
fn operations_outside_the_rules_are_refused() {
    let ops = batch(&json!([
        { "put": "a", "value": 1 }, { "put": "b", "value": null }, { "delete": "c" }, { "expect": "d" },
        { "expect": "e", "value": { "$n": "7" } },
    ]))
    .expect("valid");
    let text = |value: &str| Some(value.as_bytes().to_vec());
    assert_eq!(
        ops,
        [
            KvOp::Put { key: "a".into(), value: b"1".to_vec() },
            KvOp::Delete { key: "b".into() },
            KvOp::Delete { key: "c".into() },
            KvOp::Expect { key: "d".into(), value: None },
            KvOp::Expect { key: "e".into(), value: text(r#"{"$n":"7"}"#) },
        ]
    );
    for bad in [
        json!({}),
        json!([{}]),
        json!(["put"]),
        json!([{ "put": "a", "delete": "a" }]),
        json!([{ "put": "a", "value": 1, "if": 2 }]),
        json!([{ "delete": "a", "value": 1 }]),
        json!([{ "put": "", "value": 1 }]),
        json!([{ "put": 5, "value": 1 }]),
        json!([{ "delete": "x".repeat(513) }]),
        json!([{ "value": 1 }]),
    ] {
        assert_eq!(batch(&bad).expect_err("refused").code, code::INVALID_PARAMS, "{bad}");
    }
    let many = vec![json!({ "delete": "a" }); MAX_BATCH + 1];
    assert_eq!(batch(&json!(many)).expect_err("refused").code, code::LIMIT);
    let large = json!([{ "put": "a", "value": "x".repeat(MAX_VALUE) }]);
    assert_eq!(batch(&large).expect_err("refused").code, code::LIMIT);
}
