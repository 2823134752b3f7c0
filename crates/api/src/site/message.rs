//! The extension protocol, version 1: JSON objects, each with a `type`.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::protocol::RpcError;

/// Version of the protocol, in `challenge` and `hello`.
pub const PROTOCOL_VERSION: u32 = 1;

/// What a browser profile signs (ECDSA on P-256 with SHA-256, over UTF-8) to answer a challenge. `nonce` and `key` are
/// the texts as they stood on the wire.
#[must_use]
pub fn challenge_text(nonce: &str, key: &str) -> String {
    format!("entresol bridge {PROTOCOL_VERSION}\n{nonce}\n{key}")
}

/// From the extension.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", deny_unknown_fields)]
pub(super) enum Incoming {
    /// The answer to the challenge.
    Hello {
        version: u32,
        /// Base64url of the uncompressed point, 65 bytes.
        key: String,
        /// Base64url of r and s, 64 bytes.
        signature: String,
    },
    /// Asks for a pairing code, under the name of the browser.
    Pair { name: String },
    /// A page that found the provider. The origin is what the browser filled in.
    Open { document: u64, origin: String },
    /// A request of a page.
    Request {
        document: u64,
        id: u64,
        method: String,
        #[serde(default)]
        params: Json,
    },
    /// The page is gone.
    Close { document: u64 },
    /// The popup wants to be drawn, for the page below it.
    Popup {
        id: u64,
        #[serde(default)]
        origin: Option<String>,
    },
}

/// To the extension.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Outgoing {
    Challenge {
        version: u32,
        nonce: String,
    },
    Welcome {
        profile: String,
    },
    Unpaired,
    Refused {
        why: String,
    },
    Code {
        code: String,
        expires_in_ms: u64,
    },
    Response {
        document: u64,
        id: u64,
        #[serde(flatten)]
        outcome: Outcome,
    },
    Event {
        document: u64,
        event: &'static str,
        data: Json,
    },
    Popup {
        id: u64,
        #[serde(flatten)]
        view: Json,
    },
}

/// `{"result":…}` or `{"error":…}`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Outcome {
    Result(Json),
    Error(RpcError),
}

impl From<Result<Json, RpcError>> for Outcome {
    fn from(outcome: Result<Json, RpcError>) -> Self {
        match outcome {
            Ok(result) => Self::Result(result),
            Err(error) => Self::Error(error),
        }
    }
}
