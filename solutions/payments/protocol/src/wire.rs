//! JSON forms for the node's JSON-RPC and for files.
//!
//! The types of this crate serialise themselves by these rules: field names in camelCase, quantities as decimal strings (a u128
//! does not fit a JSON number that JavaScript reads), bytes, hashes and addresses as 0x-hex, kinds as words. Reading is as strict:
//! a quantity is a decimal string without sign, spaces or leading zeros.

/// `#[serde(with = "wire::decimal")]`: an integer as decimal string.
pub mod decimal {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes a decimal string.
    pub fn serialize<T: Display, S: Serializer>(number: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    /// Reads a decimal string; refuses everything but the one spelling that `serialize` writes.
    pub fn deserialize<'de, T: FromStr + Display, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.parse::<T>() {
            Ok(number) if number.to_string() == text => Ok(number),
            _ => Err(D::Error::custom(format_args!(
                "{text:?} is not a quantity; quantities are decimal strings in range, like \"42\""
            ))),
        }
    }
}

/// `#[serde(with = "wire::signature")]`: 65 bytes `r || s || v` as 0x-hex.
pub mod signature {
    use alloy::primitives::FixedBytes;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use crate::signature::Signature;

    /// Writes 0x-hex.
    pub fn serialize<S: Serializer>(signature: &Signature, serializer: S) -> Result<S::Ok, S::Error> {
        FixedBytes::from(signature.to_bytes()).serialize(serializer)
    }

    /// Reads 0x-hex of 65 bytes; ranges are not checked here.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Signature, D::Error> {
        let bytes = FixedBytes::<{ Signature::LENGTH }>::deserialize(deserializer)?;
        Signature::from_bytes(bytes.as_slice()).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
