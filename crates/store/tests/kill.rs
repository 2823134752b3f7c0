//! kill -9 at every write point of the store: what was acknowledged is there, what was not is not there in part, and
//! going on leads to the same end.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use entresol_durable::{KILL_AT, REGISTRY};
use entresol_store::{
    App, ApprovalFilter, ApprovalState, CallState, CallerConnection, CallerGrant, CallerGrantFilter, Callers, Consent,
    Decision, JournalFilter, JournalIntent, Network, NewApproval, NewCall, NewReservation, NewSolution, NewTransfer,
    PolicyState, ReservationState, SolutionStatus, SolutionUpdate, Store, Transaction, TransactionState,
    TransactionUpdate, TransferKind, TransferUpdate,
};
use serde_json::{Value, json};

const KEY: [u8; 32] = [9; 32];

/// Set in the process that is to be killed: the directory of its database.
const VICTIM: &str = "ENTRESOL_STORE_KILL_TEST";

/// The write point of a copy for a backup.
const COPY: &str = "store.snapshot.write";

/// `SIGKILL`.
const KILLED: i32 = 9;

/// One write, and how to see that it has happened.
struct Step {
    point: &'static str,
    write: fn(&Store),
    written: fn(&Store) -> bool,
}

const SOLUTION: i64 = 1;
const APPROVAL: u64 = 1;
const POLICY: u64 = 1;

fn approved(store: &Store, states: &[ApprovalState]) -> bool {
    store.approval(APPROVAL).is_ok_and(|approval| states.contains(&approval.state))
}

fn solution() -> NewSolution {
    let text = |text: &str| text.to_owned();
    NewSolution {
        name: text("payments"),
        title: text("Payments"),
        network: text("devnet"),
        owner_index: 0,
        gateway: None,
        network_urls: vec![],
        key_path: text("m/43'/60'/1775'/1'"),
        package_name: text("payments"),
        package_version: text("1.0.0"),
        package_sha512: text("00"),
        package_dir: text("packages/payments"),
        from_block: 0,
        interface_digest: text("0x00"),
        interface: json!({}),
        manifest: json!({}),
    }
}

fn transaction() -> Transaction {
    Transaction {
        hash: "0x1".to_owned(),
        chain_id: 1,
        from: "0x2".to_owned(),
        nonce: 0,
        raw: "0x02".to_owned(),
        approval_id: Some(APPROVAL),
        solution: Some(SOLUTION),
        purpose: "deposit".to_owned(),
        state: TransactionState::Stored,
        block_number: None,
        block_hash: None,
        success: None,
        gas_used: None,
        effective_gas_price: None,
        failure: None,
        created_at: 1,
        updated_at: 1,
    }
}

fn request() -> NewApproval {
    NewApproval {
        kind: "transaction".to_owned(),
        requester: Value::Null,
        request_key: Some("deposit-1".to_owned()),
        solution: Some(SOLUTION),
        cause: Value::Null,
        intent: json!({}),
        digest: "0xaa".to_owned(),
        shown: Value::Null,
        created_at: 3,
        expires_at: 100,
    }
}

fn update() -> SolutionUpdate {
    let text = |text: &str| text.to_owned();
    SolutionUpdate {
        from_sha512: text("00"),
        title: text("Payments"),
        package_version: text("1.1.0"),
        package_sha512: text("01"),
        package_dir: text("packages/01"),
        interface_digest: text("0x01"),
        interface: json!({ "actions": [] }),
        manifest: json!({}),
        granted: vec![text("\"new\"")],
        revoked: vec![],
        reason: text("another package"),
        note: (text("updated:1"), json!({ "fromVersion": "1.0.0" })),
    }
}

fn grants(store: &Store, active_at: Option<u64>) -> Vec<CallerGrant> {
    store.caller_grants(&CallerGrantFilter { active_at, ..CallerGrantFilter::default() }).expect("read")
}

fn reservation(subject: &str) -> NewReservation {
    NewReservation {
        policy: POLICY,
        subject: subject.to_owned(),
        amount: "5".to_owned(),
        fee: "2".to_owned(),
        token: None,
        detail: Value::Null,
    }
}

fn reserved(store: &Store, subject: &str) -> Option<ReservationState> {
    let all = store.reservations(POLICY, 9).expect("read");
    all.into_iter().find(|one| one.subject == subject).map(|one| one.state)
}

fn app(name: &str, digest: u8) -> App {
    App { name: name.to_owned(), secret_digest: vec![digest; 32], added_at: 20 }
}

fn call() -> NewCall {
    NewCall {
        caller: "app".to_owned(),
        call_id: "1".to_owned(),
        solution: SOLUTION,
        action: "pay".to_owned(),
        digest: "0x".to_owned(),
    }
}

/// A short life of a wallet in which every write point is reached once, in this order.
const LIFE: &[Step] = &[
    Step {
        point: "store.network.put",
        write: |store| {
            let network = Network { name: "devnet".to_owned(), chain_id: 1, rpc_urls: vec![], confirmations: 1 };
            store.put_network(&network).expect("stored");
        },
        written: |store| store.network("devnet").expect("read").is_some(),
    },
    Step {
        point: "store.meta.put",
        write: |store| store.put_meta("owners", &json!([0])).expect("stored"),
        written: |store| store.meta("owners").expect("read").is_some(),
    },
    Step {
        point: "store.solution.install",
        write: |store| {
            store.install(&solution(), &["\"keys\"".to_owned()], None, 1).expect("installed");
        },
        written: |store| {
            let solution = store.solution(SOLUTION).expect("read").is_some();
            let granted = store.active_grants(SOLUTION).expect("read").contains(&"\"keys\"".to_owned());
            assert_eq!(solution, granted, "all of it or nothing of it");
            solution
        },
    },
    Step {
        point: "store.grant.set",
        write: |store| store.add_grant(SOLUTION, "\"more\"", 2).expect("granted"),
        written: |store| store.active_grants(SOLUTION).expect("read").contains(&"\"more\"".to_owned()),
    },
    Step {
        point: "store.account.hand_out",
        write: |store| assert_eq!(store.next_account_index(SOLUTION, 2).expect("an index"), 0),
        written: |store| store.account_indices(SOLUTION).expect("read") == [0],
    },
    Step {
        point: "store.approval.create",
        write: |store| {
            assert_eq!(store.create_approval(&request()).expect("stored").id, APPROVAL);
        },
        written: |store| store.approval(APPROVAL).is_ok(),
    },
    Step {
        point: "store.approval.decide",
        write: |store| {
            store.decide_approval(APPROVAL, "0xaa", Decision::Approve, &Value::Null, "user", 4).expect("decided");
        },
        written: |store| approved(store, &[ApprovalState::Approved, ApprovalState::Done]),
    },
    Step {
        point: "store.journal.intent",
        write: |store| {
            let intent = JournalIntent {
                solution: Some(SOLUTION),
                actor: "user".to_owned(),
                action: "deposit".to_owned(),
                resource: "gateway".to_owned(),
                detail: Value::Null,
            };
            assert_eq!(store.journal_intent(&intent, 5).expect("noted"), 1);
        },
        written: |store| {
            store
                .journal(&JournalFilter { limit: Some(9), solution: None, ..JournalFilter::default() })
                .expect("read")
                .len()
                == 1
        },
    },
    Step {
        point: "store.transaction.insert",
        write: |store| store.insert_transaction(&transaction()).expect("stored"),
        written: |store| store.transaction_by_approval(APPROVAL).expect("read").is_some(),
    },
    Step {
        point: "store.transfer.create",
        write: |store| {
            let new = NewTransfer {
                solution: SOLUTION,
                kind: TransferKind::Deposit,
                amount: "1".to_owned(),
                asset: "ETH".to_owned(),
                stage: "sent".to_owned(),
                stages: json!(["sent", "settled"]),
                plugin: false,
                approval_id: Some(APPROVAL),
                tx_hash: None,
                detail: Value::Null,
            };
            store.create_transfer(&new, 6).expect("stored");
        },
        written: |store| store.transfer_by_approval(APPROVAL).expect("read").is_some(),
    },
    Step {
        point: "store.transaction.update",
        write: |store| {
            let update = TransactionUpdate::state(TransactionState::Confirmed);
            store.update_transaction("0x1", &update, 7).expect("updated");
        },
        written: |store| {
            let transaction = store.transaction("0x1").expect("read");
            transaction.is_some_and(|transaction| transaction.state == TransactionState::Confirmed)
        },
    },
    Step {
        point: "store.transfer.update",
        write: |store| {
            let update = TransferUpdate { stage: Some("settled".to_owned()), ..TransferUpdate::default() };
            store.update_transfer(1, &update, 8).expect("updated");
        },
        written: |store| store.transfer(1).is_ok_and(|transfer| transfer.stage == "settled"),
    },
    Step {
        point: "store.approval.finish",
        write: |store| {
            store.finish_approval(APPROVAL, Ok(&json!({ "hash": "0x1" }))).expect("finished");
        },
        written: |store| approved(store, &[ApprovalState::Done]),
    },
    Step {
        point: "store.journal.outcome",
        write: |store| store.journal_outcome(1, &json!("done"), 9).expect("noted"),
        written: |store| {
            store
                .journal(&JournalFilter { limit: Some(9), solution: None, ..JournalFilter::default() })
                .expect("read")
                .iter()
                .any(|entry| entry.result.is_some())
        },
    },
    Step {
        point: "store.call.begin",
        write: |store| assert_eq!(store.begin_call(&call(), 10).expect("begun"), CallState::New),
        written: call_is_known,
    },
    Step {
        point: "store.kv.write",
        write: |store| store.kv_put(SOLUTION, "key", b"value", 100).expect("stored"),
        written: |store| {
            let used = store.kv_used(SOLUTION).expect("read");
            let value = store.kv_get(SOLUTION, "key").expect("read");
            assert_eq!(used, if value.is_some() { 8 } else { 0 }, "the entry and the count belong together");
            value.is_some()
        },
    },
    Step {
        point: "store.layer2_state.put",
        write: |store| store.put_layer2_state(SOLUTION, &json!({ "balance": "1" }), 11).expect("stored"),
        written: |store| store.layer2_state(SOLUTION).expect("read").is_some(),
    },
    Step {
        point: "store.call.finish",
        write: |store| store.finish_call("app", "1", &json!("ok"), 12).expect("finished"),
        written: |store| {
            call_is_known(store)
                && matches!(store.begin_call(&call(), 12), Ok(CallState::Finished { result }) if result == "ok")
        },
    },
    Step {
        point: "store.cursor.put",
        write: |store| store.put_cursor(SOLUTION, &json!({ "number": 5 })).expect("stored"),
        written: |store| store.cursor(SOLUTION).expect("read").is_some(),
    },
    Step {
        point: "store.caller_grant.put",
        write: |store| {
            store.put_caller_grant("app:shop", SOLUTION, &json!({}), None, None, 13).expect("granted");
        },
        written: |store| !grants(store, None).is_empty(),
    },
    Step {
        point: "store.caller_grant.revoke",
        write: |store| {
            store.revoke_caller_grant(1, 14).expect("revoked");
        },
        written: |store| !grants(store, None).is_empty() && grants(store, Some(14)).is_empty(),
    },
    Step {
        point: "store.connection.put",
        write: |store| {
            let seen = CallerConnection {
                caller: "app:shop".to_owned(),
                accounts: vec![0],
                network: Some("dev".to_owned()),
                changed_at: 15,
            };
            store.put_connection(&seen, None).expect("stored");
        },
        written: |store| store.caller_connection("app:shop").expect("read").is_some(),
    },
    Step {
        point: "store.policy.put",
        write: |store| {
            store.put_policy("app:shop", SOLUTION, &json!({}), None, 15).expect("stored");
        },
        written: |store| store.policy(POLICY).is_ok(),
    },
    Step {
        point: "store.approval.pass",
        write: |store| {
            let new = NewApproval { request_key: Some("deposit-2".to_owned()), ..request() };
            let passed = store.create_decided_approval(&new, "policy", &[reservation("")], |_| Ok(()), 17);
            assert_eq!(passed.expect("stored").id, APPROVAL + 1);
        },
        written: |store| {
            let passed = store.approval(APPROVAL + 1).is_ok_and(|approval| approval.state == ApprovalState::Approved);
            assert_eq!(passed, reserved(store, "approval:2").is_some(), "all of it or nothing of it");
            passed
        },
    },
    Step {
        point: "store.reservation.settle",
        write: |store| {
            // Asked for again, it is reserved once.
            store.reserve(&[reservation("call:1")], |_| Ok(()), 18).expect("reserved");
            assert_eq!(store.settle_reservations("call:1", None, Some("1"), 18).expect("settled"), 1);
        },
        written: |store| reserved(store, "call:1") == Some(ReservationState::Settled),
    },
    Step {
        point: "store.reservation.release",
        write: |store| {
            store.reserve(&[reservation("call:2")], |_| Ok(()), 18).expect("reserved");
            assert_eq!(store.release_reservations("call:2", 18).expect("released"), 1);
        },
        written: |store| reserved(store, "call:2") == Some(ReservationState::Released),
    },
    Step {
        point: "store.solution.update",
        write: |store| {
            let request = NewApproval { request_key: Some("update-1".to_owned()), ..request() };
            let approval = store.create_approval(&request).expect("stored").id;
            // It is decided already when this was killed later.
            let _ = store.decide_approval(approval, "0xaa", Decision::Approve, &Value::Null, "user", 18);
            let consent = Consent { pauses: &|_| true, narrows: &|_| Some(None) };
            store.update_solution(SOLUTION, &update(), &consent, (approval, &json!({})), 18).expect("updated");
        },
        written: |store| {
            let Some(solution) = store.solution(SOLUTION).expect("read") else { return false };
            let new = solution.package_sha512 == "01";
            let holds = store.active_grants(SOLUTION).expect("read");
            let parts = [
                solution.package_version == "1.1.0",
                holds.contains(&"\"new\"".to_owned()),
                store.policy(POLICY).is_ok_and(|policy| policy.state != PolicyState::Active),
                store.meta("updated:1").expect("read").is_some(),
                store.approvals(ApprovalFilter::default()).expect("read").iter().any(|one| {
                    one.request.request_key.as_deref() == Some("update-1") && one.state == ApprovalState::Done
                }),
            ];
            assert_eq!(parts, [new; 5], "all of it or nothing of it");
            new
        },
    },
    Step {
        point: "store.policy.state",
        write: |store| {
            store.set_policy_state(POLICY, PolicyState::Revoked, None, 19).expect("revoked");
        },
        written: |store| store.policy(POLICY).is_ok_and(|policy| policy.state == PolicyState::Revoked),
    },
    Step {
        point: "store.job.put",
        write: |store| {
            store.put_job(SOLUTION, "first", Some(20), None, &Value::Null, 20).expect("stored");
        },
        written: |store| !store.all_jobs().expect("read").is_empty(),
    },
    Step {
        point: "store.job.delete",
        write: |store| {
            store.put_job(SOLUTION, "second", None, Some(7), &Value::Null, 20).expect("stored");
            assert!(store.delete_job(SOLUTION, "first").expect("deleted"));
        },
        written: |store| {
            let names: Vec<_> = store.all_jobs().expect("read").into_iter().map(|job| job.name).collect();
            names == ["second"]
        },
    },
    Step {
        point: "store.peer.put",
        write: |store| store.put_app(&app("first", 1)).expect("stored"),
        written: |store| !store.apps().expect("read").is_empty(),
    },
    Step {
        point: "store.peer.remove",
        write: |store| {
            // Of an earlier life, perhaps.
            if store.app("second").expect("read").is_none() {
                store.put_app(&app("second", 2)).expect("stored");
            }
            store.remove_app("first", Callers::One("app:first"), 21).expect("removed");
        },
        written: |store| {
            let names: Vec<_> = store.apps().expect("read").into_iter().map(|app| app.name).collect();
            names == ["second"]
        },
    },
    Step {
        point: "store.notice.add",
        write: |store| assert_eq!(store.add_notice(SOLUTION, "info", "text", None, 21).expect("stored"), 1),
        written: |store| !store.notices(9, false).expect("read").is_empty(),
    },
    Step {
        point: "store.notice.read",
        write: |store| store.read_notice(1).expect("read"),
        written: |store| store.notices(9, false).expect("read").iter().any(|notice| notice.read),
    },
    Step {
        point: "store.transaction.replace",
        write: |store| {
            let old = Transaction { hash: "0x3".to_owned(), nonce: 5, approval_id: None, ..transaction() };
            store.insert_transaction(&old).expect("stored");
            let new = Transaction { hash: "0x4".to_owned(), ..old };
            store.replace_transaction("0x3", &new).expect("replaced");
        },
        written: |store| {
            let state = |hash| store.transaction(hash).expect("read").map(|transaction| transaction.state);
            let replaced = state("0x3") == Some(TransactionState::Superseded);
            assert_eq!(replaced, state("0x4").is_some(), "all of it or nothing of it");
            replaced
        },
    },
    Step {
        point: "store.solution.status",
        write: |store| store.set_solution_status(SOLUTION, SolutionStatus::Removed).expect("removed"),
        written: |store| {
            let solution = store.solution(SOLUTION).expect("read");
            solution.is_some_and(|solution| solution.status == SolutionStatus::Removed)
        },
    },
];

/// A call with the same id and other parameters is refused only when the id is known, and begins nothing then. When it
/// is not known the probe is rolled back by asking for a solution that does not exist.
fn call_is_known(store: &Store) -> bool {
    let probe = NewCall { solution: -1, ..call() };
    matches!(store.begin_call(&probe, 10), Err(entresol_store::StoreError::CallIdReused { .. }))
}

fn open(directory: &Path) -> Store {
    Store::open(&directory.join("wallet.db"), &KEY).expect("the database opens")
}

fn live(store: &Store) {
    LIFE.iter().filter(|step| !(step.written)(store)).for_each(|step| (step.write)(store));
}

#[test]
fn nothing_acknowledged_is_lost_at_any_write_point() {
    if let Some(directory) = std::env::var_os(VICTIM) {
        let store = open(Path::new(&directory));
        live(&store);
        store.snapshot_into(&Path::new(&directory).join("copy.db")).expect("copied");
        return;
    }
    let registered: BTreeSet<_> =
        REGISTRY.iter().map(|point| point.name).filter(|name| name.starts_with("store.")).collect();
    let mut covered: BTreeSet<_> = LIFE.iter().map(|step| step.point).collect();
    // Before the first step, and the last of all: a copy is no part of the database.
    covered.extend(["store.schema.migrate", COPY]);
    assert_eq!(covered, registered, "every write point of the store has its step");

    for point in registered {
        for moment in ["before", "after"] {
            kill_and_go_on(point, moment);
        }
    }
}

fn kill_and_go_on(point: &str, moment: &str) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let status = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "nothing_acknowledged_is_lost_at_any_write_point", "--nocapture"])
        .env(VICTIM, directory.path())
        .env(KILL_AT, format!("{point}:{moment}"))
        .output()
        .expect("a child process")
        .status;
    assert_eq!(status.signal(), Some(KILLED), "{point}:{moment} was not reached: {status}");

    let store = open(directory.path());
    let written = LIFE.iter().take_while(|step| (step.written)(&store)).count();
    let reached = LIFE.iter().position(|step| step.point == point);
    let expect = match reached {
        Some(index) => index + usize::from(moment == "after"),
        None if point == COPY => LIFE.len(),
        None => 0,
    };
    assert_eq!(written, expect, "{point}:{moment}: so many steps are there");
    let rest = LIFE.iter().skip(written).filter(|step| (step.written)(&store)).count();
    assert_eq!(rest, 0, "{point}:{moment}: nothing of the later steps is there");

    let copy = directory.path().join("copy.db");
    assert_eq!(copy.exists(), point == COPY && moment == "after", "{point}:{moment}: the copy");
    if copy.exists() {
        let copy = Store::open(&copy, &KEY).expect("the copy opens");
        assert!(LIFE.iter().all(|step| (step.written)(&copy)), "everything is in the copy");
    }

    live(&store);
    assert!(LIFE.iter().all(|step| (step.written)(&store)), "{point}:{moment}: the same end");
}
