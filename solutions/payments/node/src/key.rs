//! The node's own layer-1 key: the operator's, or the challenger's of a replica.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use alloy::consensus::{SignableTransaction, TxEip1559};
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::{Address, B256, Bytes};
use payments_protocol::{Signature, sign_digest, signature::address_of};
use secp256k1::{PublicKey, SecretKey};

use crate::NodeError;

/// Bits of a file mode that let anybody but the owner in.
const OTHERS: u32 = 0o077;

/// A signing key that does not show itself.
#[derive(Clone)]
pub(crate) struct NodeKey {
    secret: SecretKey,
    address: Address,
}

impl NodeKey {
    /// Reads 64 hex digits (`0x` in front is fine) from a file that nobody else may read.
    pub(crate) fn read(path: &Path) -> Result<Self, NodeError> {
        let shown = path.display();
        let refuse = |why: String| NodeError::KeyFile(format!("{shown}: {why}"));
        let mode = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?.permissions().mode();
        if mode & OTHERS != 0 {
            return Err(refuse(format!("others may read it (mode {:o}); run chmod 600 {shown}", mode & 0o777)));
        }
        let mut text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
        let key = Self::parse(&text);
        zeroize::Zeroize::zeroize(&mut text);
        // The text itself must not appear in the error.
        key.ok_or_else(|| refuse("it must hold one private key: 64 hex digits".to_owned()))
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.trim();
        let digits = digits.strip_prefix("0x").unwrap_or(digits);
        let mut bytes = [0u8; 32];
        hex::decode_to_slice(digits, &mut bytes).ok()?;
        let secret = SecretKey::from_secret_bytes(bytes).ok();
        zeroize::Zeroize::zeroize(&mut bytes);
        let secret = secret?;
        let address = address_of(&PublicKey::from_secret_key(&secret));
        Some(Self { secret, address })
    }

    pub(crate) fn address(&self) -> Address {
        self.address
    }

    pub(crate) fn sign(&self, digest: B256) -> Signature {
        sign_digest(&self.secret, digest)
    }

    /// Signs a layer-1 transaction. Gives its hash and the bytes to broadcast.
    pub(crate) fn sign_transaction(&self, transaction: TxEip1559) -> (B256, Bytes) {
        let signature = self.sign(transaction.signature_hash());
        let signed = transaction.into_signed(alloy::primitives::Signature::new(
            signature.r.into(),
            signature.s.into(),
            signature.v == 28,
        ));
        (*signed.hash(), signed.encoded_2718().into())
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({}, secret)", self.address)
    }
}

impl Drop for NodeKey {
    fn drop(&mut self) {
        self.secret.non_secure_erase();
    }
}

#[cfg(test)]
mod tests;
