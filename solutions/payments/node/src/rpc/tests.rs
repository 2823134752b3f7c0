use super::*;

fn refused(text: &str) -> i64 {
    match parse(text.as_bytes()) {
        Incoming::Refused(answer) => answer["error"]["code"].as_i64().expect("a code"),
        other => panic!("{text} was taken as {other:?}"),
    }
}

#[test]
fn what_is_no_request_gets_the_code_that_fits() {
    assert_eq!(refused("{"), code::PARSE);
    assert_eq!(refused("[]"), code::INVALID_REQUEST);
    assert_eq!(refused("17"), code::INVALID_REQUEST);
    assert_eq!(refused(r#"{"jsonrpc":"1.0","id":1,"method":"l2_status"}"#), code::INVALID_REQUEST);
    assert_eq!(refused(r#"{"jsonrpc":"2.0","id":{},"method":"l2_status"}"#), code::INVALID_REQUEST);
    assert_eq!(refused(r#"{"jsonrpc":"2.0","id":1}"#), code::INVALID_REQUEST);
    assert_eq!(refused(&format!("[{}1]", "1,".repeat(64))), code::INVALID_REQUEST);
}

#[test]
fn a_call_without_id_is_a_notification_and_a_null_id_is_not() {
    let Incoming::One(call) = parse(br#"{"jsonrpc":"2.0","method":"l2_status"}"#) else { panic!("a call") };
    assert_eq!(call.id, None);
    let Incoming::One(call) = parse(br#"{"jsonrpc":"2.0","method":"l2_status","id":null}"#) else { panic!("a call") };
    assert_eq!(call.id, Some(Value::Null));
}

#[test]
fn in_a_batch_each_bad_call_is_answered_by_itself() {
    let Incoming::Many(calls) = parse(br#"[{"jsonrpc":"2.0","id":1,"method":"l2_status"}, 5]"#) else { panic!("many") };
    assert!(calls[0].is_ok());
    assert_eq!(calls[1].as_ref().expect_err("no call")["error"]["code"], json!(code::INVALID_REQUEST));
}
