use super::*;

#[test]
fn names_are_unique() {
    for (i, method) in METHODS.iter().enumerate() {
        assert!(METHODS[..i].iter().all(|other| other.name != method.name), "{} stands twice", method.name);
        assert!(std::ptr::eq(Method::by_name(method.name).expect("found"), method));
    }
    assert!(Method::by_name("no_such").is_none());
}

#[test]
fn what_needs_no_proof_is_a_closed_list() {
    let free: Vec<_> = METHODS.iter().filter(|m| m.proof == Proof::Free).map(|m| m.name).collect();
    expect_test::expect![[r#"
        [
            "status",
            "lock",
            "accounts",
            "account_add",
            "settings",
            "send",
            "sign",
            "fees",
            "transactions",
            "transaction_speed_up",
            "transaction_cancel",
            "networks",
            "solution_add",
            "solutions",
            "solution",
            "solution_update",
            "solution_restart",
            "gateway",
            "state",
            "deposit",
            "withdraw",
            "fund",
            "exit",
            "ledger",
            "transfers",
            "approvals",
            "approval",
            "approval_wait",
            "changes_wait",
            "activity",
            "grants",
            "grants_refused",
            "plugin_inspect",
            "callers",
            "caller_connections",
            "policies",
            "policy_dry_run",
            "pairings",
            "profiles",
            "apps",
            "screens",
            "screen_answer",
            "screen_event",
            "screen_close",
            "notices",
            "notice_read",
            "shutdown",
        ]
    "#]]
    .assert_debug_eq(&free);
}

#[test]
fn unknown_and_missing_parameters_are_named() {
    let error = params::<Decision>("approval_decide", json!({ "id": 1, "approve": true })).expect_err("refused");
    assert_eq!(error.code, codes::INVALID_PARAMS);
    assert!(error.message.contains("digest"), "{error}");
    let error = params::<Nothing>("status", json!({ "extra": 1 })).err().expect("refused");
    assert!(error.message.contains("extra"), "{error}");
    assert_eq!(
        params::<Solution>("solution", json!({ "solution": "payments" })).map(|s| s.solution),
        Ok("payments".into())
    );
}
