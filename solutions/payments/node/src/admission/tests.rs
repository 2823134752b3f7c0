use payments_protocol::Leaf;

use super::*;
use crate::chain::testing::{User, domain};

#[test]
fn every_message_gets_its_own_verdict_whatever_the_others_are() {
    let admission = Admission::start(domain()).expect("threads");
    let (alice, bob) = (User::new(1), User::new(2));
    let messages: Vec<_> = (0..200u64)
        .map(|nonce| {
            let mut message = alice.pay(&Leaf { nonce, ..Leaf::default() }, bob.address, 1);
            if nonce % 3 == 0 {
                message.message.value += 1;
            }
            message
        })
        .collect();
    let verdicts: Vec<_> = messages.iter().map(|message| admission.check(message.clone())).collect();
    for (message, verdict) in messages.iter().zip(verdicts) {
        let verdict = verdict.blocking_recv().expect("a verdict");
        match message.message.nonce % 3 {
            0 => assert_eq!(verdict.expect_err("another value was signed").code, code::BAD_SIGNATURE),
            _ => assert_eq!(verdict.expect("signed").id(), message.message.id()),
        }
    }
}

#[test]
fn what_is_handed_in_when_the_pool_ends_is_answered_or_dropped_never_kept() {
    let admission = Admission::start(domain()).expect("threads");
    let message = User::new(1).pay(&Leaf::default(), User::new(2).address, 1);
    let verdicts: Vec<_> = (0..100).map(|_| admission.check(message.clone())).collect();
    let shared = Arc::downgrade(&admission.shared);
    drop(admission);
    for verdict in verdicts {
        // Either is fine; hanging is not.
        let _ = verdict.blocking_recv();
    }
    while shared.strong_count() > 0 {
        std::thread::yield_now();
    }
}
