use super::*;

#[test]
fn digest_depends_on_names_and_contents() {
    let one = |name: &str, text: &str| digest(&BTreeMap::from([(name.to_owned(), text.to_owned())]));
    assert_eq!(one("a", "b"), one("a", "b"));
    assert_ne!(one("a", "b"), one("a", "c"));
    assert_ne!(one("a", "b"), one("c", "b"));
    assert_ne!(one("ab", "c"), one("a", "bc"));
}

#[test]
fn keys_are_sorted_at_every_level() {
    let text = sorted(json!({ "b": [{ "d": 1, "c": 2 }], "a": null })).to_string();
    assert_eq!(text, r#"{"a":null,"b":[{"c":2,"d":1}]}"#);
}

#[test]
fn unlinked_bytecode_is_refused() {
    assert!(code(&json!({ "object": "60__$1234$__" })).is_err());
    assert!(code(&json!({})).is_err());
    assert_eq!(code(&json!({ "object": "6001" })).unwrap(), "0x6001");
}
