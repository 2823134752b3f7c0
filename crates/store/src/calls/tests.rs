use serde_json::json;

use super::*;
use crate::tests::Fixture;

fn call(solution: SolutionId) -> NewCall {
    NewCall {
        caller: "https://shop.example".to_owned(),
        call_id: "order-1".to_owned(),
        solution,
        action: "makePayment".to_owned(),
        digest: "0x01".to_owned(),
    }
}

#[test]
fn a_call_is_carried_out_once_and_its_result_kept_for_a_day() {
    let (fixture, solution) = Fixture::with_solution();
    let call = call(solution.id);
    assert_eq!(fixture.begin_call(&call, 1_000).expect("begun"), CallState::New);
    assert_eq!(fixture.begin_call(&call, 1_001).expect("known"), CallState::Running { started_at: 1_000 });
    let fixture = fixture.reopen();
    // After a crash in between: never New.
    assert_eq!(fixture.begin_call(&call, 2_000).expect("known"), CallState::Running { started_at: 1_000 });
    let result = json!({ "ok": { "messageId": "0x1" } });
    fixture.finish_call(&call.caller, &call.call_id, &result, 3_000).expect("finished");
    fixture.finish_call(&call.caller, &call.call_id, &json!("another"), 4_000).expect("the first result stays");
    let finished = CallState::Finished { result };
    let end = 3_000 + CALL_RESULT_KEPT_MS;
    assert_eq!(fixture.begin_call(&call, end - 1).expect("known"), finished);
    assert_eq!(fixture.begin_call(&call, end).expect("begun"), CallState::New, "a day later it is another call");
}

#[test]
fn an_id_stands_for_one_call_of_one_caller() {
    let (fixture, solution) = Fixture::with_solution();
    let call = call(solution.id);
    fixture.begin_call(&call, 1).expect("begun");
    for other in [
        NewCall { solution: solution.id + 1, ..call.clone() },
        NewCall { action: "withdraw".to_owned(), ..call.clone() },
        NewCall { digest: "0x02".to_owned(), ..call.clone() },
    ] {
        assert!(matches!(fixture.begin_call(&other, 2), Err(StoreError::CallIdReused { .. })), "{other:?}");
    }
    let elsewhere = NewCall { caller: "https://other.example".to_owned(), ..call.clone() };
    assert_eq!(fixture.begin_call(&elsewhere, 2).expect("begun"), CallState::New);
    let missing = fixture.finish_call("nobody", "order-1", &json!(null), 3);
    assert!(matches!(missing, Err(StoreError::NotFound { .. })));
}

#[test]
fn a_null_result_is_a_result() {
    let (fixture, solution) = Fixture::with_solution();
    let call = call(solution.id);
    fixture.begin_call(&call, 1).expect("begun");
    fixture.finish_call(&call.caller, &call.call_id, &Value::Null, 2).expect("finished");
    assert_eq!(fixture.begin_call(&call, 3).expect("known"), CallState::Finished { result: Value::Null });
}
