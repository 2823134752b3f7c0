use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::Signer as _;

use super::*;

fn key(byte: u8) -> SigningKey {
    SigningKey::from_slice(&[byte; 32]).expect("a key")
}

fn text_of(key: &SigningKey) -> String {
    URL_SAFE_NO_PAD.encode(key.verifying_key().to_encoded_point(false).as_bytes())
}

/// A right hello of this key to this nonce.
fn hello(key: &SigningKey, nonce: &str) -> Json {
    let text = text_of(key);
    let signature: Signature = key.sign(challenge_text(nonce, &text).as_bytes());
    json!({ "type": "hello", "version": 1, "key": text, "signature": URL_SAFE_NO_PAD.encode(signature.to_bytes()) })
}

fn challenged(random: u8) -> (Machine, String) {
    let (machine, challenge) = Machine::new([random; 32]);
    let Outgoing::Challenge { version: 1, nonce } = challenge else { panic!("{challenge:?}") };
    (machine, nonce)
}

fn welcomed() -> Machine {
    let (mut machine, nonce) = challenged(7);
    let Ok(Step::Proved { key }) = machine.receive(&hello(&key(1), &nonce).to_string()) else { panic!("proved") };
    machine.known(key, Some("chromium".to_owned()));
    machine
}

fn give(machine: &mut Machine, message: Json) -> Step {
    machine.receive(&message.to_string()).unwrap_or_else(|refused| panic!("{message}: {refused:?}"))
}

#[track_caller]
fn refuses(machine: &mut Machine, message: &str, words: &str) {
    let Refused(why) = machine.receive(message).expect_err("refused");
    assert!(why.contains(words), "{message}: {why}");
}

fn open(machine: &mut Machine, document: u64, origin: &str) -> Step {
    give(machine, json!({ "type": "open", "document": document, "origin": origin }))
}

fn request(machine: &mut Machine, document: u64, id: u64) -> Step {
    give(machine, json!({ "type": "request", "document": document, "id": id, "method": "eth_accounts" }))
}

#[track_caller]
fn answered(step: Step, code: i32) {
    match step {
        Step::Answer(Outgoing::Response { outcome: Outcome::Error(error), .. }) => assert_eq!(error.code, code),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_challenge_is_answered_by_the_key_and_for_this_connection_only() {
    let (mut machine, nonce) = challenged(1);
    assert!(!machine.is_proved());
    let right = hello(&key(1), &nonce);
    let Step::Proved { key: proved } = give(&mut machine, right.clone()) else { panic!("proved") };
    assert_eq!(proved, key(1).verifying_key().to_encoded_point(false).as_bytes());
    refuses(&mut machine, &right.to_string(), "out of order");
    let said = machine.known(proved, None);
    assert!(matches!(said, Outgoing::Unpaired) && machine.is_proved());
    refuses(&mut machine, &right.to_string(), "out of order");

    let check = |change: &dyn Fn(&mut Json), words: &str| {
        let (mut machine, nonce) = challenged(2);
        let mut wrong = hello(&key(1), &nonce);
        change(&mut wrong);
        refuses(&mut machine, &wrong.to_string(), words);
    };
    // An answer that was right for another connection.
    check(&|wrong| *wrong = right.clone(), "not this key's over this challenge");
    // Another key with somebody's signature, or somebody's key with another signature.
    check(&|wrong| wrong["key"] = json!(text_of(&key(2))), "not this key's");
    check(&|wrong| wrong["signature"] = hello(&key(2), "x")["signature"].clone(), "not this key's");
    check(&|wrong| wrong["signature"] = json!(URL_SAFE_NO_PAD.encode([0; 64])), "no r and s");
    check(&|wrong| wrong["signature"] = json!("AAAA"), "no r and s");
    check(&|wrong| wrong["signature"] = json!("!"), "no base64url");
    check(&|wrong| wrong["key"] = json!(URL_SAFE_NO_PAD.encode([4; 65])), "no point");
    check(&|wrong| wrong["key"] = json!(URL_SAFE_NO_PAD.encode([2; 33])), "65 bytes");
    check(&|wrong| wrong["version"] = json!(2), "version 1");
    check(&|wrong| wrong["extra"] = json!(1), "extra");
    check(&|wrong| wrong["key"] = json!(1), "cannot be read");
}

#[test]
fn nothing_is_served_before_the_welcome() {
    let unpaired = || {
        let (mut machine, nonce) = challenged(3);
        let Step::Proved { key } = give(&mut machine, hello(&key(1), &nonce)) else { panic!("proved") };
        machine.known(key, None);
        machine
    };
    for machine in [&mut challenged(3).0, &mut unpaired()] {
        let step = request(machine, 1, 1);
        let Step::Last(Outgoing::Response { outcome: Outcome::Error(error), .. }) = step else { panic!("{step:?}") };
        assert_eq!(error.code, 4100);
        for message in [
            json!({ "type": "open", "document": 1, "origin": "https://shop.example" }),
            json!({ "type": "close", "document": 1 }),
            json!({ "type": "popup", "id": 1, "origin": null }),
        ] {
            refuses(machine, &message.to_string(), "out of order");
        }
    }
    refuses(&mut challenged(3).0, r#"{"type":"pair","name":"x"}"#, "out of order");
    assert!(matches!(give(&mut unpaired(), json!({ "type": "pair", "name": "Chromium" })), Step::Pair { .. }));
    assert!(matches!(give(&mut welcomed(), json!({ "type": "pair", "name": "Chromium" })), Step::Nothing));
}

#[test]
fn a_caller_is_the_origin_within_the_profile_and_nothing_else_is_one() {
    let mut machine = welcomed();
    let Step::Open { caller, serial, .. } = open(&mut machine, 7, "https://shop.example") else { panic!("open") };
    assert_eq!(caller.key(), "site:chromium:https://shop.example");
    assert!(machine.is_open(7, serial));
    let Step::Request { caller, params, .. } = request(&mut machine, 7, 1) else { panic!("a request") };
    assert_eq!((caller.key().as_str(), params), ("site:chromium:https://shop.example", json!([])));
    for (document, origin) in [
        "null",
        "",
        "file://",
        "https://shop.example/",
        "https://shop.example/path",
        "https://SHOP.example",
        "https://user@shop.example",
        "https://shop.example:443",
        "chrome-extension://ijcahggkbmdcnigjaboponnchegbnaae",
        "data:text/html,x",
        "blob:https://shop.example/1",
        "https://shop.example\u{202e}",
        "https://shop.example https://other.example",
        "app:forge",
    ]
    .into_iter()
    .enumerate()
    {
        let document = 100 + document as u64;
        assert!(matches!(open(&mut machine, document, origin), Step::Nothing), "{origin:?}");
        answered(request(&mut machine, document, 1), 4100);
    }
}

#[test]
fn a_closed_document_waits_for_nothing_and_its_number_may_come_again() {
    let mut machine = welcomed();
    let Step::Open { serial: first, .. } = open(&mut machine, 1, "https://a.example") else { panic!("open") };
    assert!(matches!(request(&mut machine, 1, 1), Step::Request { .. }));
    assert!(matches!(request(&mut machine, 1, 2), Step::Request { .. }));
    assert!(machine.finished(1, first, 2) && !machine.finished(1, first, 2));
    assert!(
        matches!(give(&mut machine, json!({ "type": "close", "document": 1 })), Step::Close { serial } if serial == first)
    );
    assert!(matches!(give(&mut machine, json!({ "type": "close", "document": 1 })), Step::Nothing));
    assert!(!machine.finished(1, first, 1) && machine.requests == 0);
    answered(request(&mut machine, 1, 3), 4100);
    let Step::Open { serial: second, .. } = open(&mut machine, 1, "https://b.example") else { panic!("open") };
    assert!(matches!(request(&mut machine, 1, 1), Step::Request { .. }));
    assert!(!machine.finished(1, first, 1), "an answer to the first page is not the second one's");
    assert!(!machine.is_open(1, first) && machine.finished(1, second, 1));
}

#[test]
fn pages_come_to_their_limits_without_ending_the_connection() {
    let mut machine = welcomed();
    for document in 0..MAX_DOCUMENTS as u64 {
        assert!(matches!(open(&mut machine, document, "https://a.example"), Step::Open { .. }));
    }
    assert!(matches!(open(&mut machine, 10_000, "https://a.example"), Step::Nothing));
    answered(request(&mut machine, 10_000, 1), 4100);
    for id in 0..MAX_DOCUMENT_REQUESTS as u64 {
        assert!(matches!(request(&mut machine, 0, id), Step::Request { .. }));
    }
    answered(request(&mut machine, 0, 1_000), -32005);
    for n in MAX_DOCUMENT_REQUESTS..MAX_CONNECTION_REQUESTS {
        let n = n as u64;
        let document = n / MAX_DOCUMENT_REQUESTS as u64;
        assert!(matches!(request(&mut machine, document, n), Step::Request { .. }));
    }
    answered(request(&mut machine, 500, 1), -32005);
    give(&mut machine, json!({ "type": "close", "document": 0 }));
    assert!(matches!(request(&mut machine, 500, 1), Step::Request { .. }));
}

#[test]
fn odd_messages_end_the_connection() {
    for message in [
        "",
        "null",
        "[]",
        "{}",
        "{",
        r#"{"type":"steal"}"#,
        r#"{"type":"request","document":1,"id":1}"#,
        r#"{"type":"request","document":-1,"id":1,"method":"x"}"#,
        r#"{"type":"request","document":1,"id":"1","method":"x"}"#,
        r#"{"type":"request","document":1,"id":1,"method":"x","origin":"https://b.example"}"#,
        r#"{"type":"open","document":1}"#,
        r#"{"type":"open","document":1,"origin":"https://a.example","profile":"other"}"#,
        r#"{"type":"welcome","profile":"x"}"#,
    ] {
        refuses(&mut welcomed(), message, "cannot be read");
    }
    let mut machine = welcomed();
    open(&mut machine, 1, "https://a.example");
    refuses(&mut machine, r#"{"type":"open","document":1,"origin":"https://b.example"}"#, "open already");
    request(&mut machine, 1, 1);
    refuses(&mut machine, r#"{"type":"request","document":1,"id":1,"method":"x"}"#, "running already");
    answered(
        give(&mut machine, json!({ "type": "request", "document": 1, "id": 2, "method": "x", "params": "y" })),
        -32602,
    );
}

/// A small generator of its own, so that a failure comes again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

#[test]
fn whatever_comes_the_books_are_right() {
    let whole = [
        r#"{"type":"open","document":1,"origin":"https://a.example"}"#,
        r#"{"type":"open","document":2,"origin":"null"}"#,
        r#"{"type":"request","document":1,"id":3,"method":"eth_accounts","params":[]}"#,
        r#"{"type":"request","document":2,"id":4,"method":"layer2_call","params":{"a":[1,{"b":null}]}}"#,
        r#"{"type":"close","document":1}"#,
        r#"{"type":"popup","id":1,"origin":"https://a.example"}"#,
        r#"{"type":"pair","name":"x"}"#,
        r#"{"type":"hello","version":1,"key":"AA","signature":"AA"}"#,
    ];
    let (mut dice, mut machine, mut running) = (Dice(1775), welcomed(), Vec::new());
    let (mut steps, mut refused) = (0, 0);
    for _ in 0..60_000 {
        let mut message = whole[dice.below(whole.len())].as_bytes().to_vec();
        // Numbers of documents and requests that meet one another.
        for byte in &mut message {
            if byte.is_ascii_digit() && dice.below(2) == 0 {
                *byte = b'1' + dice.below(9) as u8;
            }
        }
        for _ in 0..dice.below(6).saturating_sub(3) {
            let at = dice.below(message.len());
            match dice.below(3) {
                0 => message[at] = dice.below(256) as u8,
                1 => drop(message.remove(at)),
                _ => message.insert(at, b"{}[]\",:0"[dice.below(8)]),
            }
        }
        match machine.receive(&String::from_utf8_lossy(&message)) {
            Ok(Step::Request { document, serial, id, .. }) => running.push((document, serial, id)),
            Ok(_) => steps += 1,
            // The connection would end; here it goes on, as the harder test.
            Err(Refused(why)) => refused += usize::from(!why.is_empty()),
        }
        if dice.below(2) == 0 && !running.is_empty() {
            let (document, serial, id) = running.swap_remove(dice.below(running.len()));
            machine.finished(document, serial, id);
        }
        let open: usize = machine.documents.values().map(|document| document.requests.len()).sum();
        assert_eq!(machine.requests, open);
        assert!(open <= running.len() && machine.documents.len() <= MAX_DOCUMENTS);
    }
    assert!(steps > 1_000 && refused > 1_000, "{steps} {refused}");
}
