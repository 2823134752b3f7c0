//! Signatures by the user's own hand: messages (EIP-191) and typed data (EIP-712), with their digests.

use crate::approvals::{Proposal, Requester, SignIntent};
use crate::error::HostError;
use crate::messages::{ApprovalView, Row, SignInput};
use crate::text::{clean, row};
use crate::typed_data::{Typed, parse_text};
use crate::{Actor, Host, Operation, siwe};
use alloy::primitives::{Address, Bytes, eip191_hash_message};
use entresol_vault::Intent;
use serde_json::Value as Json;

/// Longest message that is signed, in bytes: what cannot be read should not be signed.
const MAX_MESSAGE: usize = 16 << 10;

impl Host {
    /// Proposes to sign a message or typed data with an own account.
    ///
    /// # Errors
    /// Not authorised; not exactly one of `text`, `hex` and `typedData`; typed data that do not fit, or are for another
    /// chain than `network`.
    pub async fn sign_own(&self, actor: &Actor, input: SignInput) -> Result<ApprovalView, HostError> {
        self.authorize(actor, &Operation::Propose, "sign")?;
        if let Some(known) = self.known_request(input.request_key.as_deref())? {
            return Ok(known);
        }
        let from = self.owner(input.from)?.address;
        let signable = match (&input.text, &input.hex, &input.typed_data) {
            (Some(text), None, None) => Signable::message(from, text.as_bytes())?,
            (None, Some(hex), None) => {
                let bytes = hex.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok());
                let bytes =
                    bytes.ok_or_else(|| HostError::invalid("sign: hex must be 0x and an even number of digits"))?;
                Signable::message(from, &bytes)?
            }
            (None, None, Some(typed_data)) => {
                let chain_id = match &input.network {
                    Some(name) => Some(self.runtime(name)?.network.chain_id()),
                    None => None,
                };
                Signable::typed(from, typed_data, chain_id)?
            }
            _ => return Err(HostError::invalid("sign: state exactly one of text, hex and typedData")),
        };
        let sentence = format!("Sign this with account {}?", input.from);
        let proposal = signable.proposal(Requester::of(actor), input.from, sentence)?;
        self.submit(Proposal { request_key: input.request_key, ..proposal }).await
    }
}

/// What an own account may sign besides transactions, with everything that is shown of it.
pub(crate) struct Signable {
    intent: Intent,
    pub(crate) rows: Vec<Row>,
    pub(crate) warnings: Vec<String>,
}

impl Signable {
    /// A message (EIP-191).
    pub(crate) fn message(from: Address, bytes: &[u8]) -> Result<Self, HostError> {
        let (rows, warnings) = message_rows(bytes)?;
        Ok(Self { intent: Intent::Message { from, message: Bytes::copy_from_slice(bytes) }, rows, warnings })
    }

    /// Typed data (EIP-712), as an object or its text; where a chain is given, their domain must not name another.
    pub(crate) fn typed(from: Address, typed_data: &Json, chain_id: Option<u64>) -> Result<Self, HostError> {
        let typed_data = match typed_data {
            Json::String(text) => parse_text(text)?,
            object => object.clone(),
        };
        let typed = Typed::read(&typed_data)?;
        if let Some(chain_id) = chain_id {
            typed.check_chain(chain_id)?;
        }
        Ok(Self { rows: typed.rows(), warnings: typed.warnings(), intent: Intent::TypedData { from, typed_data } })
    }

    /// The question for the user whether account `owner` signs this.
    pub(crate) fn proposal(self, who: Requester, owner: u32, sentence: String) -> Result<Proposal, HostError> {
        let from = self.intent.from().to_checksum(None);
        let mut rows = vec![row("Signed by", format!("{from} (account {owner})"))];
        rows.extend(self.rows);
        let digest = self.intent.digest().to_string();
        let stored = SignIntent { intent: self.intent, owner };
        Ok(Proposal { rows, warnings: self.warnings, ..Proposal::new("sign", who, digest, &stored, sentence)? })
    }
}

/// A message line by line, with the digest that is signed.
pub(crate) fn message_rows(bytes: &[u8]) -> Result<(Vec<Row>, Vec<String>), HostError> {
    if bytes.len() > MAX_MESSAGE {
        return Err(HostError::invalid(format!("sign: a message of more than {MAX_MESSAGE} bytes cannot be read")));
    }
    let (mut rows, mut warnings) = (Vec::new(), Vec::new());
    match std::str::from_utf8(bytes) {
        Ok(text) if siwe::looks_like_siwe(text) => match siwe::Message::parse(text) {
            Ok(message) => {
                warnings.push(format!(
                    "This signs you in to {}: whoever has the signature can be you there. Sign it only if you opened \
                     that site yourself.",
                    clean(&message.domain, 255)
                ));
                rows.extend(message.rows());
            }
            Err(error) => {
                warnings.push(format!("This looks like a sign-in to a website, but {}: be careful.", error.message));
                rows.push(row("Message", clean(text, MAX_MESSAGE)));
            }
        },
        Ok(text) => rows.push(row("Message", format!("“{}”", clean(text, MAX_MESSAGE)))),
        Err(_) => {
            warnings.push("The message is not text: the wallet cannot say what it means.".to_owned());
            rows.push(row("Message", crate::decode::bytes_text(bytes)));
        }
    }
    if bytes.len() == 32 {
        warnings.push("The message is 32 bytes long, like a digest: it may stand for something else.".to_owned());
    }
    rows.push(row("Length", format!("{} bytes", bytes.len())));
    rows.push(row("Signs", eip191_hash_message(bytes).to_string()));
    Ok((rows, warnings))
}
