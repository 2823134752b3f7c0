use serde_json::Value as Json;

use super::*;

async fn written(message: &str) -> Vec<Json> {
    let mut native = Native { output: Vec::new(), parts: 0 };
    native.write(message).await.expect("written");
    let mut input = native.output.as_slice();
    let mut found = Vec::new();
    while !input.is_empty() {
        let length = input.read_u32_le().await.expect("a length");
        assert!(length < 1024 * 1024, "browsers take at most 1 MiB: {length}");
        let mut text = vec![0; length as usize];
        input.read_exact(&mut text).await.expect("whole");
        found.push(serde_json::from_slice(&text).expect("JSON"));
    }
    found
}

#[tokio::test]
async fn long_messages_go_in_parts_that_make_the_same_text() {
    assert_eq!(written(r#"{"type":"unpaired"}"#).await, [json!({ "type": "unpaired" })]);
    for filling in ["x", "\\\"", "\u{1f9c0}€"] {
        let message = json!({ "type": "response", "result": filling.repeat(3_000_000 / filling.len()) }).to_string();
        let parts = written(&message).await;
        assert!(parts.len() > 2);
        for (index, part) in parts.iter().enumerate() {
            assert_eq!((&part["type"], &part["message"], &part["index"]), (&json!("part"), &json!(1), &json!(index)));
            assert_eq!(part["count"], parts.len());
        }
        let joined: String = parts.iter().map(|part| part["text"].as_str().expect("text")).collect();
        assert_eq!(joined, message);
    }
}

#[tokio::test]
async fn native_messages_are_read_whole_or_not_at_all() {
    let mut input: &[u8] = b"\x02\0\0\0{}\x04\0\0\0null";
    assert_eq!(read_native(&mut input).await.expect("read"), Some(FromBrowser::Message(b"{}".to_vec())));
    assert_eq!(read_native(&mut input).await.expect("read"), Some(FromBrowser::Message(b"null".to_vec())));
    assert_eq!(read_native(&mut input).await.expect("the end"), None);
    let mut cut: &[u8] = b"\x09\0\0\0{";
    assert!(read_native(&mut cut).await.is_err());
    let mut huge: &[u8] = b"\xff\xff\xff\x7f{";
    assert_eq!(read_native(&mut huge).await.expect("read"), Some(FromBrowser::TooLong));
}

#[test]
fn only_a_hello_begins_again() {
    assert!(is_hello(br#"{"version":1,"type":"hello","key":"a\"b"}"#));
    for other in [&br#"{"type":"request"}"#[..], b"{}", b"[]", b"hello"] {
        assert!(!is_hello(other));
    }
}
