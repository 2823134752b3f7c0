//! SHA-512 of what was fetched, in the spelling that npm uses (Subresource Integrity).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha512};

/// A SHA-512 digest. Its text is `sha512-<base64>`, as in npm's lock files and registry answers.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Integrity([u8; 64]);

/// Text that is no usable integrity value, or bytes that are not the expected ones.
#[derive(Debug, thiserror::Error)]
pub enum IntegrityError {
    /// The text has no `sha512-` part, or it is not 64 bytes of base64.
    #[error("\"{0}\" has no SHA-512 part: expected sha512- and 64 bytes in base64")]
    Malformed(String),
    /// The bytes are not what was pinned.
    #[error(
        "{what} is not what was pinned: expected {expected}, got {found}; nothing of it was used. \
         Try again, and if it stays so, do not trust the source it came from"
    )]
    Mismatch {
        /// What was checked.
        what: String,
        /// The pinned digest. Boxed, as the other one, to keep every `Result` around it small.
        expected: Box<Integrity>,
        /// The digest of the bytes at hand.
        found: Box<Integrity>,
    },
}

impl Integrity {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha512::digest(bytes).into())
    }

    /// A digest computed elsewhere.
    #[must_use]
    pub const fn from_digest(digest: [u8; 64]) -> Self {
        Self(digest)
    }

    /// The 64 digest bytes.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 64] {
        &self.0
    }

    /// 128 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Checks that `bytes` have this digest; `what` names them in the error.
    ///
    /// # Errors
    /// [`IntegrityError::Mismatch`] when they have another.
    pub fn verify(&self, what: &str, bytes: &[u8]) -> Result<(), IntegrityError> {
        let found = Self::of(bytes);
        if found == *self {
            return Ok(());
        }
        Err(IntegrityError::Mismatch {
            what: what.to_owned(),
            expected: Box::new(self.clone()),
            found: Box::new(found),
        })
    }
}

impl FromStr for Integrity {
    type Err = IntegrityError;

    /// Takes the SHA-512 of a list such as `sha1-… sha512-…`; weaker digests are never enough.
    fn from_str(text: &str) -> Result<Self, IntegrityError> {
        let malformed = || IntegrityError::Malformed(text.chars().take(200).collect());
        let mut found = None;
        for part in text.split_ascii_whitespace() {
            if let Some(encoded) = part.strip_prefix("sha512-") {
                // `?option` parts are allowed by the standard and mean nothing.
                let encoded = encoded.split('?').next().unwrap_or(encoded);
                let bytes = STANDARD.decode(encoded).map_err(|_| malformed())?;
                let digest: [u8; 64] = bytes.try_into().map_err(|_| malformed())?;
                if found.replace(Self(digest)).is_some() {
                    // npm would accept either of two; we pin one.
                    return Err(malformed());
                }
            }
        }
        found.ok_or_else(malformed)
    }
}

impl fmt::Display for Integrity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha512-{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Integrity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Integrity {
    type Error = IntegrityError;

    fn try_from(text: String) -> Result<Self, IntegrityError> {
        text.parse()
    }
}

impl From<Integrity> for String {
    fn from(integrity: Integrity) -> Self {
        integrity.to_string()
    }
}

#[cfg(test)]
mod tests;
