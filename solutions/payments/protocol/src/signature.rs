//! Strict secp256k1 signatures.
//!
//! A signature is valid here exactly when the gateway takes it: `v ∈ {27, 28}`, `0 < r < n`, `0 < s ≤ n/2`
//! (EIP-2's low-s half), and `ecrecover` gives a non-zero address. The ranges are checked before any library is called and
//! nothing is ever normalised, because a library that is laxer or stricter than layer 1 would be a root that differs.

use alloy::primitives::{Address, B256, b256, keccak256};
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message as Digest, SecretKey};

/// Order of the secp256k1 group (SEC 2, section 2.4.1).
const ORDER: B256 = b256!("0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
/// Half the order, rounded down: the largest `s` allowed.
const HALF_ORDER: B256 = b256!("0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0");

/// A recoverable signature as layer 1 takes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Signature {
    /// x-coordinate of the nonce point modulo n, big endian.
    pub r: B256,
    /// The other half, big endian; valid only when at most n/2.
    pub s: B256,
    /// 27 or 28 when valid; any byte may stand in a record.
    pub v: u8,
}

/// Why a signature cannot be used, whatever it signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// `v` is neither 27 nor 28.
    #[error("the signature's v is {0}; it must be 27 or 28")]
    V(u8),
    /// `r` is zero or not below n.
    #[error("the signature's r is zero or not below the group order")]
    R,
    /// `s` is zero or above n/2.
    #[error("the signature's s is zero or in the upper half; sign again with low s")]
    S,
    /// No public key belongs to these values and this digest.
    #[error("no public key belongs to this signature")]
    NoKey,
    /// Not 65 bytes.
    #[error("a signature has 65 bytes (r, s, v), not {0}")]
    Length(usize),
}

impl Signature {
    /// Bytes of the form `r || s || v`.
    pub const LENGTH: usize = 65;

    /// Reads `r || s || v`. Checks the length only.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SignatureError> {
        let (Some(r), Some(s), Some(v), true) =
            (bytes.get(..32), bytes.get(32..64), bytes.get(64), bytes.len() == Self::LENGTH)
        else {
            return Err(SignatureError::Length(bytes.len()));
        };
        Ok(Self { r: B256::from_slice(r), s: B256::from_slice(s), v: *v })
    }

    /// `r || s || v`.
    pub fn to_bytes(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [0u8; Self::LENGTH];
        bytes[..32].copy_from_slice(self.r.as_slice());
        bytes[32..64].copy_from_slice(self.s.as_slice());
        bytes[64] = self.v;
        bytes
    }

    /// The ranges that layer 1 checks before it recovers.
    pub fn check(&self) -> Result<(), SignatureError> {
        if self.v != 27 && self.v != 28 {
            return Err(SignatureError::V(self.v));
        }
        // B256 compares as big-endian bytes, which for equal lengths is numeric order.
        if self.r.is_zero() || self.r >= ORDER {
            return Err(SignatureError::R);
        }
        if self.s.is_zero() || self.s > HALF_ORDER {
            return Err(SignatureError::S);
        }
        Ok(())
    }

    /// The address whose key signed `digest`, after [`check`](Self::check).
    pub fn recover(&self, digest: B256) -> Result<Address, SignatureError> {
        self.check()?;
        let mut compact = [0u8; 64];
        compact[..32].copy_from_slice(self.r.as_slice());
        compact[32..].copy_from_slice(self.s.as_slice());
        let recovery = if self.v == 27 { RecoveryId::Zero } else { RecoveryId::One };
        let signature = RecoverableSignature::from_compact(&compact, recovery).map_err(|_| SignatureError::NoKey)?;
        let key = signature.recover_ecdsa(Digest::from_digest(digest.0)).map_err(|_| SignatureError::NoKey)?;
        Ok(address_of(&key))
    }
}

/// Signs a digest; low s, `v` 27 or 28. Deterministic (RFC 6979).
pub fn sign_digest(key: &SecretKey, digest: B256) -> Signature {
    let signature = RecoverableSignature::sign_ecdsa_recoverable(Digest::from_digest(digest.0), key);
    let (recovery, compact) = signature.serialize_compact();
    Signature {
        r: B256::from_slice(&compact[..32]),
        s: B256::from_slice(&compact[32..]),
        // Recovery ids 2 and 3 need r ≥ p − n, which no one can find; `recover` would refuse them.
        v: 27u8.wrapping_add(recovery.to_u8()),
    }
}

/// The address of a public key: the last 20 bytes of keccak256 of its uncompressed coordinates.
pub fn address_of(key: &secp256k1::PublicKey) -> Address {
    let hash = keccak256(&key.serialize_uncompressed()[1..]);
    Address::from_slice(&hash[12..])
}

#[cfg(test)]
mod tests;
