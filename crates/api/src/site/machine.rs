//! The extension protocol as a state machine without IO: what came, and what follows from it.
//!
//! `Challenged` → (hello with a right signature) → `Proved`: the key is somebody's; the connection looks whose →
//! `Welcome` for a paired profile, else `Unpaired`, in which only `pair` is served. Nothing of the wallet is told before
//! `Welcome`: a request gets 4100 and the connection ends.
//!
//! What a *page* can bring about (too many requests, an origin that is none) is answered to that page; what only the
//! extension or a stranger can bring about (another order, other types) ends the connection.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entresol_host::Caller;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use serde_json::{Value as Json, json};

use super::message::{Incoming, Outcome, Outgoing, PROTOCOL_VERSION, challenge_text};
use super::{MAX_CONNECTION_REQUESTS, MAX_DOCUMENT_REQUESTS, MAX_DOCUMENTS};
use crate::protocol::{RpcError, codes};

/// Bytes of a challenge.
const NONCE_BYTES: usize = 32;

/// Why a connection ends: told to the other side.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) String);

/// What follows from a message.
#[derive(Debug)]
pub(super) enum Step {
    /// The key has answered the challenge: say whose it is, by [`Machine::known`].
    Proved { key: Vec<u8> },
    /// A code is wanted for the key that has proved itself.
    Pair { key: Vec<u8>, name: String },
    /// A document is there.
    Open { document: u64, serial: u64, caller: Caller },
    /// A request is to be run.
    Request { document: u64, serial: u64, caller: Caller, id: u64, method: String, params: Json },
    /// A document is gone, and what it has asked for.
    Close { serial: u64 },
    /// The popup is to be drawn for this page.
    Popup { id: u64, profile: String, page: Option<Caller> },
    /// Answer this; there is nothing to do.
    Answer(Outgoing),
    /// Answer this and end.
    Last(Outgoing),
    /// Nothing.
    Nothing,
}

#[derive(Debug)]
enum Phase {
    Challenged {
        nonce: String,
    },
    /// Until the connection has said whose key it is.
    Proved,
    Unpaired {
        key: Vec<u8>,
    },
    Welcome {
        profile: String,
    },
}

#[derive(Debug)]
struct Document {
    /// Numbers of documents may come again; serials do not.
    serial: u64,
    caller: Caller,
    requests: HashSet<u64>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Machine {
    phase: Phase,
    documents: HashMap<u64, Document>,
    serials: u64,
    requests: usize,
}

impl Machine {
    /// A new connection, and the challenge to begin it with. `random` is used for nothing else.
    pub(super) fn new(random: [u8; NONCE_BYTES]) -> (Self, Outgoing) {
        let nonce = URL_SAFE_NO_PAD.encode(random);
        let challenge = Outgoing::Challenge { version: PROTOCOL_VERSION, nonce: nonce.clone() };
        let phase = Phase::Challenged { nonce };
        (Self { phase, documents: HashMap::new(), serials: 0, requests: 0 }, challenge)
    }

    /// True from the moment at which the other side has shown that it has its key.
    pub(super) fn is_proved(&self) -> bool {
        !matches!(self.phase, Phase::Challenged { .. })
    }

    /// Whose the key is that has proved itself: a paired profile's, or nobody's yet.
    pub(super) fn known(&mut self, key: Vec<u8>, profile: Option<String>) -> Outgoing {
        match profile {
            Some(profile) => {
                self.phase = Phase::Welcome { profile: profile.clone() };
                Outgoing::Welcome { profile }
            }
            None => {
                self.phase = Phase::Unpaired { key };
                Outgoing::Unpaired
            }
        }
    }

    /// The key that waits to be paired, if one does.
    pub(super) fn unpaired_key(&self) -> Option<&[u8]> {
        match &self.phase {
            Phase::Unpaired { key } => Some(key),
            _ => None,
        }
    }

    /// A request has its answer; false when nobody waits for it any more.
    pub(super) fn finished(&mut self, document: u64, serial: u64, id: u64) -> bool {
        let found = self.documents.get_mut(&document).filter(|found| found.serial == serial);
        let waited = found.is_some_and(|found| found.requests.remove(&id));
        self.requests -= usize::from(waited);
        waited
    }

    /// True while this very document is open.
    pub(super) fn is_open(&self, document: u64, serial: u64) -> bool {
        self.documents.get(&document).is_some_and(|found| found.serial == serial)
    }

    /// One message.
    pub(super) fn receive(&mut self, text: &str) -> Result<Step, Refused> {
        let message: Incoming =
            serde_json::from_str(text).map_err(|error| Refused(format!("a message cannot be read: {error}")))?;
        match (&mut self.phase, message) {
            (Phase::Challenged { nonce }, Incoming::Hello { version, key, signature }) => {
                if version != PROTOCOL_VERSION {
                    return Err(Refused(format!(
                        "this wallet speaks version {PROTOCOL_VERSION} of the protocol; update the older of the two"
                    )));
                }
                let proved = prove(nonce, &key, &signature)?;
                self.phase = Phase::Proved;
                Ok(Step::Proved { key: proved })
            }
            (Phase::Unpaired { key }, Incoming::Pair { name }) => Ok(Step::Pair { key: key.clone(), name }),
            // It may have been sent before the extension knew that the code was confirmed.
            (Phase::Welcome { .. }, Incoming::Pair { .. }) => Ok(Step::Nothing),
            (Phase::Welcome { profile }, Incoming::Popup { id, origin }) => {
                let page = origin.and_then(|origin| site(profile, &origin));
                Ok(Step::Popup { id, profile: profile.clone(), page })
            }
            (Phase::Welcome { profile }, Incoming::Open { document, origin }) => {
                let caller = site(profile, &origin);
                self.open(document, caller)
            }
            (Phase::Welcome { .. }, Incoming::Request { document, id, method, params }) => {
                self.request(document, id, method, params)
            }
            (Phase::Welcome { .. }, Incoming::Close { document }) => {
                let Some(closed) = self.documents.remove(&document) else { return Ok(Step::Nothing) };
                self.requests -= closed.requests.len();
                Ok(Step::Close { serial: closed.serial })
            }
            (_, Incoming::Request { document, id, .. }) => Ok(Step::Last(refusal(
                document,
                id,
                RpcError::new(
                    codes::UNAUTHORISED,
                    "this browser is not paired with the wallet; open the extension's window for a code",
                ),
            ))),
            _ => {
                Err(Refused("a message out of order: first `hello`, then `pair` until there is a `welcome`".to_owned()))
            }
        }
    }

    fn open(&mut self, document: u64, caller: Option<Caller>) -> Result<Step, Refused> {
        if self.documents.contains_key(&document) {
            return Err(Refused(format!("document {document} is open already")));
        }
        // Requests of a document that is not open are answered, so a page without an origin gets its 4100.
        let Some(caller) = caller.filter(|_| self.documents.len() < MAX_DOCUMENTS) else { return Ok(Step::Nothing) };
        self.serials += 1;
        let serial = self.serials;
        self.documents.insert(document, Document { serial, caller: caller.clone(), requests: HashSet::new() });
        Ok(Step::Open { document, serial, caller })
    }

    fn request(&mut self, document: u64, id: u64, method: String, params: Json) -> Result<Step, Refused> {
        let Some(found) = self.documents.get_mut(&document) else {
            let why = format!(
                "the wallet does not serve this page: only pages with an http or https origin of their own, at most \
                 {MAX_DOCUMENTS} at a time; close some and reload"
            );
            return Ok(Step::Answer(refusal(document, id, RpcError::new(codes::UNAUTHORISED, why))));
        };
        if found.requests.contains(&id) {
            return Err(Refused(format!("request {id} of document {document} is running already")));
        }
        let limit = |most: usize, whose: &str| {
            let why = format!("{whose} has {most} requests open; wait for their answers");
            Ok(Step::Answer(refusal(document, id, RpcError::new(codes::LIMIT, why))))
        };
        if found.requests.len() >= MAX_DOCUMENT_REQUESTS {
            return limit(MAX_DOCUMENT_REQUESTS, "this page");
        }
        if self.requests >= MAX_CONNECTION_REQUESTS {
            return limit(MAX_CONNECTION_REQUESTS, "this browser");
        }
        // EIP-1193: an array or an object, and absent means none.
        let params = match params {
            Json::Null => json!([]),
            params @ (Json::Array(_) | Json::Object(_)) => params,
            _ => {
                let error = RpcError::new(codes::INVALID_PARAMS, "`params` is an array or an object");
                return Ok(Step::Answer(refusal(document, id, error)));
            }
        };
        found.requests.insert(id);
        self.requests += 1;
        Ok(Step::Request { document, serial: found.serial, caller: found.caller.clone(), id, method, params })
    }
}

/// The caller that a page of this profile is; none for an opaque origin and for other schemes.
fn site(profile: &str, origin: &str) -> Option<Caller> {
    let caller = Caller::Site { profile: profile.to_owned(), origin: origin.to_owned() };
    Caller::parse(&caller.key()).ok().filter(|parsed| *parsed == caller)
}

fn refusal(document: u64, id: u64, error: RpcError) -> Outgoing {
    Outgoing::Response { document, id, outcome: Outcome::Error(error) }
}

/// The key's bytes, if the signature over the challenge is its own.
fn prove(nonce: &str, key: &str, signature: &str) -> Result<Vec<u8>, Refused> {
    let wrong = |what: &str| Refused(format!("`hello`: {what}"));
    let bytes = URL_SAFE_NO_PAD.decode(key).map_err(|_| wrong("`key` is no base64url"))?;
    if bytes.len() != entresol_host::KEY_LENGTH {
        return Err(wrong("`key` is no uncompressed point of P-256 (65 bytes)"));
    }
    let point = VerifyingKey::from_sec1_bytes(&bytes).map_err(|_| wrong("`key` is no point of P-256"))?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| wrong("`signature` is no base64url"))?;
    let signature =
        Signature::from_slice(&signature).map_err(|_| wrong("`signature` is no r and s of P-256 (64 bytes)"))?;
    point
        .verify(challenge_text(nonce, key).as_bytes(), &signature)
        .map_err(|_| wrong("the signature is not this key's over this challenge"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
