//! Keys between their locked pages and the library that uses them.

use alloy::primitives::Address;
use coins_bip32::ecdsa::{SigningKey, VerifyingKey};
use coins_bip32::enc::MAINNET;
use coins_bip32::primitives::{ChainCode, Hint, KeyFingerprint, XKeyInfo};
use coins_bip32::xkeys::{Parent, XPriv};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha512;
use zeroize::Zeroizing;

use crate::locked::{Locked, Slot};
use crate::{Account, SecretBytes32, Vault, VaultError};

/// BIP-32's mark of a hardened child.
pub(crate) const HARDENED: u32 = 1 << 31;

/// Separates secrets of a subtree from its keys: BIP-32 authenticates 37 bytes of another form, with a chain code of
/// 32 bytes as the key.
const SECRET_DOMAIN: &[u8] = b"entresol subtree secret v1\n";

/// Slots that an extended key takes: the key and its chain code.
pub(crate) const EXTENDED: usize = 2;

/// Puts an extended key into the slots from `at` on.
pub(crate) fn keep(key: &XPriv, slots: &mut Locked, at: usize) {
    let signing: &SigningKey = key.as_ref();
    let info: &XKeyInfo = key.as_ref();
    slots.get_mut(at).copy_from_slice(&Zeroizing::new(signing.to_bytes()));
    *slots.get_mut(at + 1) = info.chain_code.0;
}

/// The extended key in the slots from `at` on, for the moment of its use; it wipes itself when dropped. Where in the
/// tree it lies is not kept: no child depends on that.
pub(crate) fn load(slots: &Locked, at: usize) -> Result<XPriv, VaultError> {
    let info = XKeyInfo {
        depth: 0,
        parent: KeyFingerprint([0; 4]),
        index: 0,
        chain_code: ChainCode(*slots.get(at + 1)),
        hint: Hint::Legacy,
        network: &MAINNET,
    };
    Ok(XPriv::new(signing_key(slots.get(at))?, info))
}

/// The key of one slot, for the moment of its use.
pub(crate) fn signing_key(secret: &Slot) -> Result<SigningKey, VaultError> {
    SigningKey::from_slice(secret).map_err(|_| VaultError::Crypto { what: "reading a key" })
}

/// The child at the end of a path. The library moves on to the next number in the case (2⁻¹²⁷) that a number has no
/// key; BIP-32 asks for the same.
pub(crate) fn descend(root: &XPriv, numbers: impl IntoIterator<Item = u32>) -> Result<XPriv, VaultError> {
    numbers.into_iter().try_fold(root.clone(), |key, number| {
        key.derive_child(number).map_err(|_| VaultError::Crypto { what: "deriving a key" })
    })
}

/// The public side of a key.
pub(crate) fn account(key: &SigningKey, index: u32, path: String) -> Account {
    public_account(key.verifying_key(), index, path)
}

/// The account of the imported key with this number, counted from 0.
pub(crate) fn imported_account(public: &VerifyingKey, number: usize) -> Account {
    // A keystore takes far fewer keys than there are numbers.
    let index = u32::try_from(number).map_or(u32::MAX, |number| Vault::IMPORTED | number);
    public_account(public, index, format!("imported/{number}"))
}

fn public_account(public: &VerifyingKey, index: u32, path: String) -> Account {
    let mut public_key = [0; 33];
    public_key.copy_from_slice(&public.to_sec1_point(true).as_bytes()[..33]);
    // The uncompressed form is a tag byte and the 64 bytes that Ethereum hashes.
    let address = Address::from_raw_public_key(&public.to_sec1_point(false).as_bytes()[1..]);
    Account { index, path, address, public_key }
}

/// Reads 0x and 64 hex digits; the prefix may be missing, spaces around are no mistake.
pub(crate) fn read_private_key(text: &SecretString) -> Result<Locked, VaultError> {
    let text = text.expose_secret().trim();
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let mut key = Locked::new(1);
    hex::decode_to_slice(digits, key.get_mut(0))
        .map_err(|_| VaultError::PrivateKey { reason: "it is not 0x and 64 hex digits" })?;
    if *key.get(0) == [0; 32] {
        return Err(VaultError::PrivateKey { reason: "it is zero, which is no key" });
    }
    SigningKey::from_slice(key.get(0))
        .map_err(|_| VaultError::PrivateKey { reason: "it is not below the order of secp256k1" })?;
    Ok(key)
}

/// 0x and 64 hex digits.
pub(crate) fn write_private_key(key: &SigningKey) -> Result<SecretString, VaultError> {
    let mut digits = Zeroizing::new([0; 64]);
    let bytes = Zeroizing::new(key.to_bytes());
    // The full length at once, so that growing leaves no copy behind.
    let mut text = String::with_capacity(66);
    text.push_str("0x");
    hex::encode_to_slice(&bytes[..], &mut *digits).map_err(|_| VaultError::Crypto { what: "writing a key" })?;
    text.push_str(std::str::from_utf8(&*digits).map_err(|_| VaultError::Crypto { what: "writing a key" })?);
    Ok(SecretString::from(text))
}

/// The first half of HMAC-SHA-512 with the root's key and chain code as the key.
pub(crate) fn subtree_secret(root: &XPriv, label: &str) -> Result<SecretBytes32, VaultError> {
    let (signing, info): (&SigningKey, &XKeyInfo) = (root.as_ref(), root.as_ref());
    let mut both = Zeroizing::new([0; 64]);
    both[..32].copy_from_slice(&Zeroizing::new(signing.to_bytes()));
    both[32..].copy_from_slice(&info.chain_code.0);
    let mut mac =
        Hmac::<Sha512>::new_from_slice(&*both).map_err(|_| VaultError::Crypto { what: "deriving a secret" })?;
    mac.update(SECRET_DOMAIN);
    mac.update(label.as_bytes());
    Ok(SecretBytes32::new(&Zeroizing::new(mac.finalize().into_bytes())[..32]))
}
