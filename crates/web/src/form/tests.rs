use super::*;

fn param(name: &str, ty: &str, unit: Option<&str>) -> ParamView {
    ParamView { name: name.to_owned(), ty: ty.to_owned(), unit: unit.map(str::to_owned), role: None }
}

fn map(value: Value) -> Map<String, Value> {
    value.as_object().cloned().expect("an object")
}

#[test]
fn amounts_are_read_in_their_unit_and_never_rounded() {
    for (text, unit, expect) in [
        ("1", "ETH", "1000000000000000000"),
        ("0.1", "ETH", "100000000000000000"),
        (" 1.50 ", "gwei", "1500000000"),
        ("0007", "wei", "7"),
        ("0.0", "ETH", "0"),
        ("0.000000000000000001", "ETH", "1"),
    ] {
        assert_eq!(wei(text, unit).as_deref(), Ok(expect), "{text}");
    }
    for (text, unit, words) in [
        ("", "ETH", "no amount"),
        (".5", "ETH", "no amount"),
        ("1.", "ETH", "no amount"),
        ("1,5", "ETH", "with a point"),
        ("1e18", "wei", "no amount"),
        ("-1", "wei", "no amount"),
        ("0.5", "wei", "finer"),
        ("0.0000000000000000001", "ETH", "finer"),
        ("1", "pounds", "units"),
    ] {
        let why = wei(text, unit).expect_err(text);
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn texts_become_values_of_their_types() {
    let params = [
        param("to", "address", None),
        param("value", "uint256", Some("wei")),
        param("times", "uint8", None),
        param("sure", "bool", None),
        param("note", "string", None),
        param("pairs", "(address,uint256)[]", None),
    ];
    let given = map(
        json!({ "to": " 0x01 ", "value": "0.5", "times": "3", "note": " as it is ", "pairs": "[[\"0x02\", \"1\"]]" }),
    );
    let units = map(json!({ "value": "ETH" }));
    let expect = json!({ "to": "0x01", "value": "500000000000000000", "times": "3", "sure": false, "note": " as it is ",
                         "pairs": [["0x02", "1"]] });
    assert_eq!(Value::Object(values(&params, &given, &units).expect("values")), expect);
    for (name, text, words) in [
        ("to", "", "a value is needed"),
        ("value", "x", "no amount"),
        ("pairs", "0x02, 1", r#"write it like [["0x…", "1"], …]"#),
        ("gone", "1", "load the page again"),
    ] {
        let mut given = given.clone();
        given.insert(name.to_owned(), json!(text));
        let why = values(&params, &given, &units).expect_err(name);
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn every_type_has_an_input_and_none_is_a_password() {
    let params = ["bool", "uint256", "int8", "address", "bytes", "bytes32", "string", "uint256[]", "(bool,bytes)"]
        .map(|ty| param(&format!("p{}", ty.len()), ty, None));
    let form = inputs("f", &params).into_string();
    assert!(!form.contains("password"), "{form}");
    assert_eq!(form.matches("name=\"params.").count(), params.len(), "{form}");
    assert!(form.contains("checkbox") && form.contains("<textarea"), "{form}");
}

#[test]
fn names_are_readable() {
    for (name, expect) in
        [("toAddress", "to address"), ("value", "value"), ("from_block", "from block"), ("URL", "URL")]
    {
        assert_eq!(words(name), expect);
    }
}
