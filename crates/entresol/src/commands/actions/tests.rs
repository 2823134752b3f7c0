use super::*;

fn action() -> ActionView {
    let param = |name: &str, ty: &str| ParamView { name: name.into(), ty: ty.into(), unit: None, role: None };
    ActionView {
        name: "pay".into(),
        description: String::new(),
        signature: "pay(address to, uint256 value, bool fast, string note, uint256[] parts)".into(),
        params: vec![
            param("to", "address"),
            param("value", "uint256"),
            param("fast", "bool"),
            param("note", "string"),
            param("parts", "uint256[]"),
        ],
        returns: Vec::new(),
        read_only: false,
    }
}

fn check(change: Option<(&str, &str)>, expected: Result<(), &str>) {
    let mut texts = vec![
        "to=0x01".to_owned(),
        "value=0.5 ether".to_owned(),
        "fast=true".to_owned(),
        "note=a=b".to_owned(),
        "parts=[\"1\",\"2\"]".to_owned(),
    ];
    if let Some((from, to)) = change {
        texts.retain(|text| text != from);
        if !to.is_empty() {
            texts.push(to.to_owned());
        }
    }
    match (params(&action(), &texts), expected) {
        (Ok(values), Ok(())) => {
            let expected = json!({ "to": "0x01", "value": "500000000000000000", "fast": true, "note": "a=b", "parts": ["1", "2"] });
            assert_eq!(Json::Object(values), expected);
        }
        (Err(error), Err(part)) => assert!(format!("{error:#}").contains(part), "{error:#}"),
        (found, _) => panic!("{change:?}: {found:?}, expected {expected:?}"),
    }
}

#[test]
fn parameters_are_typed() {
    check(None, Ok(()));
    check(Some(("to=0x01", "")), Err("`to` is missing"));
    check(Some(("", "to=0x02")), Err("given twice"));
    check(Some(("", "other=1")), Err("no parameter `other`"));
    check(Some(("", "words")), Err("not NAME=VALUE"));
    check(Some(("value=0.5 ether", "value=many")), Err("not a unit"));
    check(Some(("value=0.5 ether", "value=0.5")), Err("needs a unit"));
    check(Some(("fast=true", "fast=maybe")), Err("true or false"));
    check(Some(("parts=[\"1\",\"2\"]", "parts=1,2")), Err("written as JSON"));
}

#[test]
fn arguments_keep_what_is_not_an_amount() {
    let texts = ["0xab", "7", "0.5 ether", "[1]", "true", "hello"].map(str::to_owned);
    assert_eq!(Json::Array(arguments(&texts)), json!(["0xab", "7", "500000000000000000", [1], true, "hello"]));
}
