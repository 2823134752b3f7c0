//! BIP-39 phrases. Only their entropy is kept; the phrase and the seed are made from it.

use coins_bip32::xkeys::XPriv;
use coins_bip39::{English, Entropy, Mnemonic, MnemonicError};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::VaultError;

/// Entropy of a new wallet in bytes: 12 words.
const NEW_ENTROPY: usize = 16;

/// A wallet's words.
pub(crate) struct Words(Mnemonic<English>);

impl Words {
    /// New ones.
    pub(crate) fn generate() -> Result<Self, VaultError> {
        let mut entropy = Zeroizing::new([0; NEW_ENTROPY]);
        getrandom::fill(&mut *entropy).map_err(|_| VaultError::Randomness)?;
        Self::from_entropy(&*entropy)
    }

    /// From what the keystore keeps.
    pub(crate) fn from_entropy(bytes: &[u8]) -> Result<Self, VaultError> {
        let entropy = Entropy::from_slice(bytes).map_err(|_| VaultError::Damaged { reason: "the seed's length" })?;
        Ok(Self(Mnemonic::new_from_entropy(entropy)))
    }

    /// From what the user typed: upper case, line breaks and more than one space between words are no mistakes.
    pub(crate) fn from_phrase(phrase: &SecretString) -> Result<Self, VaultError> {
        let typed = phrase.expose_secret();
        // The full length at once, so that growing leaves no copy of the words behind.
        let mut plain = Zeroizing::new(String::with_capacity(typed.len()));
        for word in typed.split_whitespace() {
            if !plain.is_empty() {
                plain.push(' ');
            }
            plain.extend(word.chars().map(|letter| letter.to_ascii_lowercase()));
        }
        if plain.is_empty() {
            return Err(VaultError::WordCount { found: 0 });
        }
        Mnemonic::new_from_phrase(&plain).map(Self).map_err(|error| match error {
            MnemonicError::InvalidWord(index) => VaultError::UnknownWord { position: index + 1 },
            MnemonicError::InvalidChecksum => VaultError::Checksum,
            MnemonicError::InvalidWordCount(found) => VaultError::WordCount { found },
            MnemonicError::InvalidEntropyLength(_) | MnemonicError::Bip32Error(_) => {
                VaultError::Crypto { what: "reading the phrase" }
            }
        })
    }

    /// What the keystore keeps.
    pub(crate) fn entropy(&self) -> &[u8] {
        self.0.entropy().as_bytes()
    }

    /// The words, for showing them once.
    pub(crate) fn phrase(&self) -> SecretString {
        SecretString::from(self.0.to_phrase().as_str().to_owned())
    }

    /// BIP-32 root of the seed, without a BIP-39 passphrase.
    pub(crate) fn root(&self) -> Result<XPriv, VaultError> {
        self.0.master_key(None).map_err(|_| VaultError::Crypto { what: "deriving the root key" })
    }
}

#[cfg(test)]
mod tests;
