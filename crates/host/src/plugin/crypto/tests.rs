use super::*;
use alloy::primitives::{address, b256, hex};

fn call(name: &str, args: &Json) -> Result<Json, String> {
    let answer = Crypto.call(name, args.to_string().as_bytes())?;
    serde_json::from_slice(&answer).map_err(|e| e.to_string())
}

// EIP-155's example key and its address; the signature over keccak256("hello") is made here.
fn signed() -> (B256, Vec<u8>, Address) {
    let key = k256::ecdsa::SigningKey::from_slice(&[0x46; 32]).expect("a key");
    let hash = keccak256("hello");
    let (signature, recovery) = key.sign_prehash_recoverable(hash.as_slice()).expect("signed");
    let mut bytes = signature.to_bytes().to_vec();
    bytes.push(27 + recovery.to_byte());
    (hash, bytes, address!("9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F"))
}

#[test]
fn hashes_are_the_known_ones() {
    assert_eq!(
        call("keccak256", &json!([""])).expect("hashed"),
        wire::bytes(b256!("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470").as_slice())
    );
    assert_eq!(
        call("sha256", &json!([wire::bytes(b"abc")])).expect("hashed"),
        wire::bytes(&hex!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"))
    );
}

#[test]
fn signatures_are_recovered_and_malleable_ones_refused() {
    let (hash, signature, signer) = signed();
    let (hash, text) = (wire::bytes(hash.as_slice()), wire::bytes(&signature));
    assert_eq!(call("recover", &json!([hash, text])).expect("recovered"), json!(signer.to_checksum(None)));
    assert_eq!(call("verify", &json!([hash, text, signer])).expect("verified"), json!(true));
    assert_eq!(call("verify", &json!([hash, text, Address::ZERO])).expect("verified"), json!(false));
    let mut high = signature.clone();
    let order = alloy::primitives::U256::from_be_bytes(hex!(
        "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
    ));
    let s = alloy::primitives::U256::from_be_slice(&high[32..64]);
    high[32..64].copy_from_slice(&(order - s).to_be_bytes::<32>());
    high[64] ^= 7;
    assert!(call("recover", &json!([hash, wire::bytes(&high)])).is_err());
    let batch = json!([[{ "hash": hash, "signature": text }, { "hash": hash, "signature": "0x00" }]]);
    assert_eq!(call("recoverBatch", &batch).expect("recovered"), json!([signer.to_checksum(None), null]));
}

#[test]
fn nonsense_is_an_error() {
    for (name, args) in [
        ("keccak256", json!([])),
        ("keccak256", json!([5])),
        ("keccak256", json!(["0xzz"])),
        ("recover", json!(["0x00", "0x00"])),
        ("verify", json!(["0x00", "0x00"])),
        ("recoverBatch", json!([5])),
        ("unknown", json!([])),
    ] {
        assert!(call(name, &args).is_err(), "{name} {args}");
    }
    assert!(Crypto.call("keccak256", b"not json").is_err());
}
