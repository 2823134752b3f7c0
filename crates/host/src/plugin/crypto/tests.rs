use super::*;
use alloy::primitives::{B256, U256, address, b256, hex};
use std::time::Duration;

use crate::plugin::GLUE;
use entresol_sandbox::{Engine, Instance, Limits, ModuleKind, Outgoing, Script};

fn call(name: &str, payload: &[u8]) -> Result<Vec<u8>, String> {
    Crypto.call(name, payload)
}

// EIP-155's example key and its address; the signature over keccak256("hello") is made here, by another library.
fn signed() -> (B256, Vec<u8>, Address) {
    let key = k256::ecdsa::SigningKey::from_slice(&[0x46; 32]).expect("a key");
    let hash = keccak256("hello");
    let (signature, recovery) = key.sign_prehash_recoverable(hash.as_slice()).expect("signed");
    let mut bytes = signature.to_bytes().to_vec();
    bytes.push(27 + recovery.to_byte());
    (hash, bytes, address!("9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F"))
}

fn high_s(signature: &[u8]) -> Vec<u8> {
    let mut high = signature.to_vec();
    let order = U256::from_be_bytes(hex!("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"));
    let s = U256::from_be_slice(&high[32..64]);
    high[32..64].copy_from_slice(&(order - s).to_be_bytes::<32>());
    high[64] ^= 7;
    high
}

#[test]
fn hashes_are_the_known_ones() {
    let empty = b256!("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
    assert_eq!(call("keccak256", b""), Ok(empty.to_vec()));
    assert_eq!(call("keccak256.text", b"0x"), Ok(empty.to_vec()));
    let abc = hex!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad").to_vec();
    for (name, payload) in [("sha256", "abc"), ("sha256.text", "abc"), ("sha256.text", "0x616263")] {
        assert_eq!(call(name, payload.as_bytes()), Ok(abc.clone()), "{name} {payload}");
    }
}

#[test]
fn signatures_are_recovered_and_malleable_ones_refused() {
    let (hash, signature, signer) = signed();
    let checksummed = signer.to_checksum(None);
    let pair = [hash.as_slice(), &signature].concat();
    assert_eq!(call("recover", &pair), Ok(checksummed.clone().into_bytes()));
    let text = format!("{hash} 0x{}", hex::encode(&signature));
    assert_eq!(call("recover.text", text.as_bytes()), Ok(checksummed.clone().into_bytes()));
    for (claimed, outcome) in
        [(checksummed.clone(), true), (checksummed.to_lowercase(), true), (Address::ZERO.to_string(), false)]
    {
        let bytes = [claimed.as_bytes(), &pair].concat();
        assert_eq!(call("verify", &bytes), Ok(vec![u8::from(outcome)]), "{claimed}");
        let text = format!("{claimed} {text}");
        assert_eq!(call("verify.text", text.as_bytes()), Ok(vec![b'0' + u8::from(outcome)]), "{claimed}");
    }
    let high = [hash.as_slice(), &high_s(&signature)].concat();
    assert_eq!(call("recover", &high), Err("recover: the signature is malleable (high s)".to_owned()));
    let batch = [pair.clone(), high, vec![0; PAIR], pair.clone(), pair[..40].to_vec()].concat();
    let expected = format!("{checksummed}{0}{0}{checksummed}{0}", " ".repeat(ADDRESS));
    assert_eq!(call("recoverBatch", &batch), Ok(expected.into_bytes()));
    let batch = format!("{text},0x00 0x00,,{text}");
    let expected = format!("{checksummed}{0}{0}{checksummed}", " ".repeat(ADDRESS));
    assert_eq!(call("recoverBatch.text", batch.as_bytes()), Ok(expected.into_bytes()));
}

#[test]
fn both_libraries_recover_the_same() {
    for seed in 1..=50u8 {
        let key = k256::ecdsa::SigningKey::from_slice(&[seed; 32]).expect("a key");
        let hash = keccak256([seed]);
        let (signature, recovery) = key.sign_prehash_recoverable(hash.as_slice()).expect("signed");
        let mut bytes = signature.to_bytes().to_vec();
        bytes.push(recovery.to_byte());
        let theirs =
            Signature::from_raw(&bytes).expect("parsed").recover_address_from_prehash(&hash).expect("recovered");
        assert_eq!(recover(hash.as_slice(), &bytes), Ok(theirs));
    }
}

#[test]
fn nonsense_is_an_error() {
    let long = vec![0; PAIR * (MAX_BATCH + 1)];
    let commas = vec![b','; MAX_BATCH];
    for (name, payload) in [
        ("keccak256.text", b"0xzz".as_slice()),
        ("keccak256.text", b"0x1"),
        ("recover", b""),
        ("recover", &[0; PAIR]),
        ("recover", &[0xff; 32 + 65]),
        ("recover", &[1; 32 + 64]),
        ("recover.text", b"\xff\xfe"),
        ("recover.text", b"0x00 0x00"),
        ("verify", b"0x"),
        ("verify", &[0xff; ADDRESS + PAIR]),
        ("verify.text", b"0x00 0x00"),
        ("recoverBatch", &long),
        ("recoverBatch.text", &commas),
        ("unknown", b""),
    ] {
        assert!(call(name, payload).is_err(), "{name}");
    }
}

/// Evaluates an expression in a plugin's realm, with the real glue, and gives its value as the wire has it.
fn inside(body: &str) -> String {
    let engine = Engine::new(None).expect("the engine compiles");
    let (hash, signature, signer) = signed();
    let source = format!(
        "const HASH = '{hash}', SIGNATURE = '0x{}', SIGNER = '{}';
         const bytes = (text) => Uint8Array.from(text.slice(2).match(/../g), (two) => parseInt(two, 16));
         const attempt = (work) => {{ try {{ return work(); }} catch (error) {{ return error.name + ': ' + error.message; }} }};
         export default class {{ constructor() {{ this.layer2Interface = {{ actions: [], state: [] }}; }}
            onStart() {{ {body} }} }}",
        hex::encode(&signature),
        signer.to_checksum(None)
    );
    let script = Script { name: "plugin/index.js", source: &source, kind: ModuleKind::EsModule };
    let limits = Limits { turn: Duration::from_secs(60), ..Limits::default() };
    let (mut instance, _) = Instance::start(&engine, &limits, &[GLUE], Some(script), Box::new(Crypto)).expect("starts");
    instance.turn(br#"{"t":"start","id":0,"context":{"layer1":{},"network":{},"solution":{}}}"#).expect("constructed");
    let outgoing = instance.turn(br#"{"t":"hook","id":1,"hook":"onStart","arg":null}"#).expect("ran");
    let [Outgoing::Message(text)] = &outgoing[..] else { panic!("{outgoing:?}") };
    let message: serde_json::Value = serde_json::from_slice(text).expect("JSON");
    assert!(message.get("error").is_none(), "{message}");
    message["ok"].to_string()
}

#[test]
fn a_script_gets_the_same_by_bytes_and_by_text() {
    assert_eq!(
        inside(
            "const { eth } = crypto;
             const hash = bytes(HASH), signature = bytes(SIGNATURE), other = '0x' + '00'.repeat(20);
             const big = new Uint8Array(100000).fill(7);
             const list = [{ hash, signature }, { hash: HASH, signature: SIGNATURE }, { hash, signature: SIGNATURE }, { hash: 5, signature }, null, { hash: 'a,b', signature: '' }, { hash, signature }];
             return [
                eth.keccak256('') instanceof Uint8Array, eth.sha256('abc')[0], eth.keccak256('0x00')[0] === eth.keccak256(new Uint8Array(1))[0], eth.keccak256(big).length, eth.keccak256(big.subarray(5, 6))[31] === eth.keccak256('\\u0007')[31],
                eth.recover(HASH, SIGNATURE) === SIGNER, eth.recover(hash, signature) === SIGNER, eth.recover(hash, SIGNATURE) === SIGNER,
                eth.verify(HASH, SIGNATURE, SIGNER), eth.verify(hash, signature, SIGNER.toLowerCase()), eth.verify(hash, signature, other), eth.verify(hash, new Uint8Array(3), SIGNER), eth.verify('0x00', '0x', SIGNER),
                eth.recoverBatch(list).map((one) => one === SIGNER), eth.recoverBatch(list.slice(0, 1)).length, eth.recoverBatch([{ hash, signature: hash }, { hash, signature }]).map(Boolean), eth.recoverBatch([]),
             ];"
        ),
        "[true,186,true,32,true,true,true,true,true,true,false,false,false,[true,true,true,false,false,false,true],1,[false,true],[]]"
    );
    assert_eq!(
        inside(
            "const { eth } = crypto;
             return [attempt(() => eth.keccak256(5)), attempt(() => eth.keccak256('0xzz')), attempt(() => eth.recover('0x', '0x')), attempt(() => eth.recover(bytes(HASH), new Uint8Array(2))),
                attempt(() => eth.verify(HASH, SIGNATURE, 'me')), attempt(() => eth.verify(HASH, SIGNATURE, 'z'.repeat(42))), attempt(() => eth.recoverBatch(5)), attempt(() => eth.recoverBatch({ length: 1e9 })), attempt(() => eth.recoverBatch(new Array(1025)))];"
        ),
        "[\"TypeError: keccak256: argument 1 must be bytes or a string\",\"Error: argument 1: Invalid character 'z' at position 0\",\"Error: recover: the hash must have 32 bytes\",\"Error: recover: expected exactly 65 bytes\",\
\"TypeError: verify: the third argument is no address\",\"Error: verify: the third argument is no address\",\"TypeError: recoverBatch takes a list of at most 1024 { hash, signature }\",\
\"TypeError: recoverBatch takes a list of at most 1024 { hash, signature }\",\"TypeError: recoverBatch takes a list of at most 1024 { hash, signature }\"]"
    );
}
