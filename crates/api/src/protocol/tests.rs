use super::*;

fn check(line: &str, expected: Result<&str, i32>) {
    match (parse(line.as_bytes()), expected) {
        (Ok(request), Ok(method)) => assert_eq!(request.method, method, "{line}"),
        (Err((_, error)), Err(code)) => assert_eq!(error.code, code, "{line}: {error}"),
        (got, _) => panic!("{line}: {got:?}, expected {expected:?}"),
    }
}

#[test]
fn requests_are_read_strictly() {
    check(r#"{"jsonrpc":"2.0","id":1,"method":"status"}"#, Ok("status"));
    check(r#"{"jsonrpc":"2.0","id":"a","method":"status","params":{}}"#, Ok("status"));
    check(r#"{"jsonrpc":"2.0","id":"a","method":"status","params":null}"#, Ok("status"));
    check("", Err(codes::PARSE));
    check("{", Err(codes::PARSE));
    check("\u{feff}{}", Err(codes::PARSE));
    check("[]", Err(codes::INVALID_REQUEST));
    check(r#"[{"jsonrpc":"2.0","id":1,"method":"status"}]"#, Err(codes::INVALID_REQUEST));
    check(r#"{"jsonrpc":"2.0","method":"status"}"#, Err(codes::INVALID_REQUEST));
    check(r#"{"jsonrpc":"2.0","id":{},"method":"status"}"#, Err(codes::INVALID_REQUEST));
    check(r#"{"id":1,"method":"status"}"#, Err(codes::INVALID_REQUEST));
    check(r#"{"jsonrpc":"2.0","id":1,"method":7}"#, Err(codes::INVALID_REQUEST));
    check(r#"{"jsonrpc":"2.0","id":1,"method":"status","params":[1]}"#, Err(codes::INVALID_PARAMS));
}

fn no_session() -> RpcError {
    RpcError { data: json!({ "needs": "session" }), ..RpcError::new(codes::UNAUTHORISED, "no") }
}

#[test]
fn an_answer_is_one_line() {
    let line = answer(&json!(1), Ok(json!("two\nlines")));
    assert_eq!(line.iter().filter(|b| **b == b'\n').count(), 1);
    let line = String::from_utf8(answer(&json!("x"), Err(no_session()))).expect("text");
    assert!(line.contains(r#""data":{"needs":"session"}"#), "{line}");
}

#[test]
fn an_error_without_data_reads_back() {
    let error: RpcError = serde_json::from_value(json!({ "code": -1, "message": "m" })).expect("reads");
    assert_eq!(error, RpcError::new(-1, "m"));
    assert!(!error.wants_session());
    assert!(no_session().wants_session());
    assert!(!RpcError::new(codes::UNAUTHORISED, "for another reason").wants_session());
}
