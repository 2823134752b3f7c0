use payments_protocol::{ReceiptTree, sign_digest, signature::address_of};
use secp256k1::{PublicKey, SecretKey};
use tempfile::TempDir;

use super::*;

struct Operator {
    key: SecretKey,
    domain: Domain,
    folder: TempDir,
}

impl Operator {
    fn new() -> Self {
        let key = SecretKey::from_secret_bytes([7; 32]).expect("in range");
        let folder = tempfile::tempdir().expect("a folder");
        Self { key, domain: Domain::new(31_337, Address::repeat_byte(9)), folder }
    }

    fn book(&self) -> Book {
        let address = address_of(&PublicKey::from_secret_key(&self.key));
        Book::open(self.folder.path(), self.domain, address).expect("a book")
    }

    fn sign(&self, sequence: u64, message: u8, previous: Option<&SignedReceipt>) -> SignedReceipt {
        let previous_receipt = previous.map_or(B256::ZERO, |signed| signed.receipt.hash());
        let message_id = B256::repeat_byte(message);
        Receipt { message_id, sequence, previous_receipt, time: 5 }.sign(&self.domain, &self.key)
    }

    /// The same receipts, signed together.
    fn together(&self, receipts: &[SignedReceipt]) -> Vec<SignedReceipt> {
        let tree = ReceiptTree::new(receipts.iter().map(|signed| signed.receipt)).expect("a chain");
        let signature = sign_digest(&self.key, tree.group().digest(&self.domain));
        let signed = |one: &SignedReceipt| {
            let (receipt, group) = (one.receipt, tree.path(one.receipt.sequence));
            SignedReceipt { receipt, group, signature }
        };
        receipts.iter().map(signed).collect()
    }

    /// As receipts were signed before there were groups.
    fn alone(&self, receipt: Receipt) -> SignedReceipt {
        let signature = sign_digest(&self.key, self.domain.digest(receipt.hash()));
        SignedReceipt { receipt, group: None, signature }
    }

    fn chain(&self, messages: &[u8]) -> Vec<SignedReceipt> {
        let mut chain: Vec<SignedReceipt> = Vec::new();
        for (sequence, message) in messages.iter().enumerate() {
            chain.push(self.sign(sequence as u64, *message, chain.last()));
        }
        chain
    }
}

fn proof(findings: &[Finding]) -> (&Value, &Value) {
    match findings {
        [Finding::Evidence { body, .. }] => (&body["first"], &body["second"]),
        other => panic!("no proof: {other:?}"),
    }
}

#[test]
fn a_chain_is_followed_over_a_restart_and_contradictions_are_proven() {
    let operator = Operator::new();
    let chain = operator.chain(&[1, 2, 3]);
    let mut book = operator.book();
    assert_eq!(book.follow(&chain[..2], 10).expect("works"), []);
    drop(book);

    let mut book = operator.book();
    assert_eq!((book.next(), book.receipt(1).expect("works").as_ref()), (2, Some(&chain[1])));
    assert_eq!(book.follow(&chain[1..], 20).expect("works"), []);
    assert_eq!(book.promises(1, 9).expect("works").iter().map(|p| p.seen_ms).collect::<Vec<_>>(), [10, 20]);

    // Another one in the same place.
    let other = operator.sign(2, 9, Some(&chain[1]));
    let findings = book.follow(std::slice::from_ref(&other), 30).expect("works");
    assert_eq!(proof(&findings), (&json!(chain[2]), &json!(other)));
    // Said once, kept for ever.
    assert_eq!(book.follow(std::slice::from_ref(&other), 30).expect("works"), [Finding::Fits]);
    drop(book);
    let evidence = operator.book().evidence().expect("works");
    assert_eq!(evidence.len(), 1);
    let [first, second] = ["first", "second"]
        .map(|name| serde_json::from_value::<SignedReceipt>(evidence[0][name].clone()).expect("a receipt"));
    let address = address_of(&PublicKey::from_secret_key(&operator.key));
    assert!(first.equivocates(&second, &operator.domain, address));
}

#[test]
fn a_receipt_that_does_not_point_to_the_one_before_is_proof() {
    let operator = Operator::new();
    let chain = operator.chain(&[1, 2]);
    let mut book = operator.book();
    let stranger = operator.sign(2, 3, Some(&operator.sign(1, 8, None)));
    let findings = book.follow(&[chain[0].clone(), chain[1].clone(), stranger.clone()], 1).expect("works");
    assert_eq!(proof(&findings), (&json!(chain[1]), &json!(stranger)));
    assert_eq!(book.next(), 3, "what the operator says from now on is followed");
}

#[test]
fn what_somebody_brings_early_is_held_against_the_chain_later() {
    let operator = Operator::new();
    let chain = operator.chain(&[1, 2]);
    let mut book = operator.book();
    let held = operator.sign(1, 7, Some(&chain[0]));
    assert_eq!(book.bring(&held, 1).expect("works"), Finding::Fits);
    drop(book);
    let mut book = operator.book();
    let findings = book.follow(&chain, 2).expect("works");
    assert_eq!(proof(&findings), (&json!(held), &json!(chain[1])));
    // And late.
    let later = operator.sign(0, 6, None);
    assert!(matches!(book.bring(&later, 3).expect("works"), Finding::Evidence { .. }));
    assert_eq!(book.bring(&chain[0], 3).expect("works"), Finding::Fits);
}

#[test]
fn strangers_and_gaps_prove_nothing() {
    let operator = Operator::new();
    let chain = operator.chain(&[1, 2, 3]);
    let mut book = operator.book();
    let key = SecretKey::from_secret_bytes([8; 32]).expect("in range");
    let forged = chain[0].receipt.sign(&operator.domain, &key);
    assert!(matches!(book.follow(std::slice::from_ref(&forged), 1).expect("works")[..], [Finding::Forged(_)]));
    assert!(matches!(book.bring(&forged, 1).expect("works"), Finding::Forged(_)));
    let findings = book.follow(&[chain[0].clone(), chain[2].clone()], 1).expect("works");
    assert_eq!(findings, [Finding::Gap { expected: 1, got: 2 }]);
    assert_eq!((book.next(), book.evidence().expect("works").len()), (1, 0));
}

#[test]
fn the_group_that_a_receipt_was_signed_in_is_no_matter() {
    let operator = Operator::new();
    let chain = operator.chain(&[1, 2, 3, 4, 5]);
    let shown = [operator.together(&chain[..2]), operator.together(&chain[2..])].concat();
    let mut book = operator.book();
    assert_eq!(book.follow(&shown, 1).expect("works"), []);
    // The same promises signed otherwise contradict nothing.
    for same in operator.together(&chain).iter().chain(&chain) {
        assert_eq!(book.bring(same, 2).expect("works"), Finding::Fits);
    }
    // Another promise in the second group's middle place, signed in a group that begins elsewhere.
    let other = operator.sign(3, 9, Some(&chain[2]));
    let held = operator.together(&[chain[1].clone(), chain[2].clone(), other])[2].clone();
    let mut lying = held.clone();
    lying.receipt.sequence = 4;
    assert!(matches!(book.bring(&lying, 3).expect("works"), Finding::Forged(_)), "its place is signed as well");
    let findings = [book.bring(&held, 3).expect("works")];
    assert_eq!(proof(&findings), (&json!(shown[3]), &json!(held)));
    drop(book);
    assert_eq!(operator.book().receipt(3).expect("works").as_ref(), Some(&shown[3]), "kept with its way to the root");
}

#[test]
fn a_book_from_before_there_were_groups_is_taken_over() {
    let operator = Operator::new();
    let chain: Vec<_> = operator.chain(&[1, 2]).iter().map(|signed| operator.alone(signed.receipt)).collect();
    let plain = Connection::open(operator.folder.path().join(FILE)).expect("a database");
    #[allow(clippy::disallowed_methods, reason = "a file as an earlier version left it")]
    plain.execute_batch(SCHEMA).expect("as it was");
    let insert =
        "INSERT INTO receipts (sequence, message_id, previous, time, signature, seen_ms) VALUES (0, ?1, ?2, 5, ?3, 1)";
    let Receipt { message_id, previous_receipt, .. } = chain[0].receipt;
    let signature = chain[0].signature.to_bytes();
    plain.execute(insert, params![message_id.as_slice(), previous_receipt.as_slice(), signature]).expect("written");
    drop(plain);
    let mut book = operator.book();
    assert_eq!((book.next(), book.receipt(0).expect("works").as_ref()), (1, Some(&chain[0])));
    assert_eq!(book.follow(&operator.together(&operator.chain(&[1, 2])), 2).expect("works"), []);
    let other = operator.alone(operator.sign(0, 9, None).receipt);
    let findings = [book.bring(&other, 3).expect("works")];
    assert_eq!(proof(&findings), (&json!(chain[0]), &json!(other)));
}
