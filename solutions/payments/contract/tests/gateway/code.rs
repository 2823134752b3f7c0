//! Small contracts for the tests, as runtime code.

use alloy::primitives::{Address, Bytes};

/// Passes calls on: calldata is the target as one word, then the call. Reverts with what the target reverts with.
/// Takes plain ETH.
pub(crate) const FORWARDER: &[u8] = &alloy::hex!(
    "36 15 6025 57"       // no calldata: to the end
    "6020 36 03 80 6020 5f 37" // memory = calldata from 32 on
    "5f 5f 82 5f 34 5f 35 5a f1" // call(gas, word 0, value, memory)
    "3d 5f 5f 3e 6021 57" // memory = returned data; if it passed, return it
    "3d 5f fd"            // revert with it
    "5b 3d 5f f3"
    "5b 00"
);

/// Refuses everything.
pub(crate) const REFUSER: &[u8] = &alloy::hex!("5f 5f fd");

/// Answers every call with 1 000 000 bytes.
pub(crate) const BOMB: &[u8] = &alloy::hex!("620f4240 5f f3");

/// On every call calls `target` with `data`, and keeps in slot 0 whether that passed (1) or not (2).
pub(crate) fn caller_back(target: Address, data: &[u8]) -> Vec<u8> {
    let size = u16::try_from(data.len()).unwrap().to_be_bytes();
    let mut code = Vec::new();
    code.extend([0x61, size[0], size[1]]); // size
    code.extend([0x60, 46, 0x5f, 0x39]); // codecopy(0, 46, size)
    code.extend([0x5f, 0x5f]); // no returned data
    code.extend([0x61, size[0], size[1]]); // size
    code.extend([0x5f, 0x5f, 0x73]); // from 0, no value
    code.extend(target);
    code.extend([0x5a, 0xf1]); // call
    code.extend([0x15, 0x60, 1, 0x01]); // 1 if it passed, else 2
    code.extend([0x5f, 0x55, 0x00]); // keep
    assert_eq!(code.len(), 44, "the data follows a stop");
    code.extend([0x00, 0x00]);
    code.extend(data);
    code
}

/// The calldata with which [`FORWARDER`] makes this call.
pub(crate) fn through_forwarder(target: Address, call: &[u8]) -> Bytes {
    let mut bytes = vec![0; 12];
    bytes.extend(target);
    bytes.extend(call);
    bytes.into()
}
