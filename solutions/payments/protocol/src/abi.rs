//! The part of Solidity's ABI encoding that hashing needs: static values, one 32-byte word each.

use alloy::primitives::{Address, B256, U256, keccak256};

/// One 32-byte word, as `abi.encode` lays a static value out.
pub(crate) trait Word {
    fn word(&self) -> [u8; 32];
}

impl Word for B256 {
    fn word(&self) -> [u8; 32] {
        self.0
    }
}

impl Word for Address {
    fn word(&self) -> [u8; 32] {
        self.into_word().0
    }
}

impl Word for U256 {
    fn word(&self) -> [u8; 32] {
        self.to_be_bytes()
    }
}

impl Word for u128 {
    fn word(&self) -> [u8; 32] {
        U256::from(*self).to_be_bytes()
    }
}

impl Word for u64 {
    fn word(&self) -> [u8; 32] {
        U256::from(*self).to_be_bytes()
    }
}

impl Word for u8 {
    fn word(&self) -> [u8; 32] {
        U256::from(*self).to_be_bytes()
    }
}

/// `keccak256(abi.encode(words…))` of static values.
pub(crate) fn hash<const N: usize>(words: [&dyn Word; N]) -> B256 {
    keccak256(encode(words).as_flattened())
}

/// `abi.encode(words…)` of static values, word by word.
pub(crate) fn encode<const N: usize>(words: [&dyn Word; N]) -> [[u8; 32]; N] {
    words.map(|word| word.word())
}

/// `keccak256(left || right)` of two words.
pub(crate) fn hash_pair(left: &B256, right: &B256) -> B256 {
    let mut both = [0u8; 64];
    both[..32].copy_from_slice(left.as_slice());
    both[32..].copy_from_slice(right.as_slice());
    keccak256(both)
}
