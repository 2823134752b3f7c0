//! JSON text in which no name stands twice. Of two entries with one name, readers take the first or the last: what one
//! shows may not be what another hashes.

use crate::error::HostError;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value as Json};

/// Largest text that is read.
const MAX_TEXT: usize = 256 << 10;

/// Reads typed data that came as text, as `eth_signTypedData_v4` often sends them.
///
/// # Errors
/// Not JSON; a name that stands twice; too large.
pub fn parse_text(text: &str) -> Result<Json, HostError> {
    if text.len() > MAX_TEXT {
        return Err(HostError::invalid(format!("typed data: longer than {MAX_TEXT} bytes")));
    }
    let strict: Strict =
        serde_json::from_str(text).map_err(|error| HostError::invalid(format!("typed data: {error}")))?;
    Ok(strict.0)
}

struct Strict(Json);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Strict;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Strict, E> {
                Ok(Strict(Json::Bool(value)))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Strict, E> {
                Ok(Strict(Json::Number(value.into())))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Strict, E> {
                Ok(Strict(Json::Number(value.into())))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Strict, E> {
                Ok(Strict(Number::from_f64(value).map_or(Json::Null, Json::Number)))
            }

            fn visit_str<E>(self, value: &str) -> Result<Strict, E> {
                Ok(Strict(Json::String(value.to_owned())))
            }

            fn visit_unit<E>(self) -> Result<Strict, E> {
                Ok(Strict(Json::Null))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Strict, A::Error> {
                let mut list = Vec::new();
                while let Some(Strict(item)) = seq.next_element()? {
                    list.push(item);
                }
                Ok(Strict(Json::Array(list)))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Strict, A::Error> {
                let mut map = Map::new();
                while let Some((key, Strict(value))) = access.next_entry::<String, Strict>()? {
                    if map.contains_key(&key) {
                        return Err(A::Error::custom(format!("{key:?} stands twice")));
                    }
                    map.insert(key, value);
                }
                Ok(Strict(Json::Object(map)))
            }
        }
        deserializer.deserialize_any(Read)
    }
}
