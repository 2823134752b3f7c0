//! Signatures by the user's own hand: messages (EIP-191) and typed data (EIP-712), with their digests.

use crate::approvals::{Proposal, Requester, SignIntent};
use crate::error::HostError;
use crate::messages::{ApprovalView, Row, SignInput};
use crate::text::{clean, row};
use crate::typed_data::{Typed, parse_text};
use crate::{Actor, Host, Operation, siwe};
use alloy::primitives::{Bytes, eip191_hash_message};
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
        let owner = self.owner(input.from)?;
        let mut rows = vec![row("Signed by", format!("{} (account {})", owner.address.to_checksum(None), input.from))];
        let (intent, shown, warnings) = match (&input.text, &input.hex, &input.typed_data) {
            (Some(text), None, None) => {
                let (rows, warnings) = message_rows(text.as_bytes())?;
                (
                    Intent::Message { from: owner.address, message: Bytes::from(text.clone().into_bytes()) },
                    rows,
                    warnings,
                )
            }
            (None, Some(hex), None) => {
                let bytes = hex.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok());
                let bytes =
                    bytes.ok_or_else(|| HostError::invalid("sign: hex must be 0x and an even number of digits"))?;
                let (rows, warnings) = message_rows(&bytes)?;
                (Intent::Message { from: owner.address, message: Bytes::from(bytes) }, rows, warnings)
            }
            (None, None, Some(typed_data)) => {
                let typed_data = match typed_data {
                    Json::String(text) => parse_text(text)?,
                    object => object.clone(),
                };
                let typed = Typed::read(&typed_data)?;
                if let Some(name) = &input.network {
                    typed.check_chain(self.runtime(name)?.network.chain_id())?;
                }
                let (rows, warnings) = (typed.rows(), typed.warnings());
                (Intent::TypedData { from: owner.address, typed_data }, rows, warnings)
            }
            _ => return Err(HostError::invalid("sign: state exactly one of text, hex and typedData")),
        };
        rows.extend(shown);
        let stored = SignIntent { intent: intent.clone(), owner: input.from };
        self.submit(Proposal {
            request_key: input.request_key,
            rows,
            warnings,
            ..Proposal::new(
                "sign",
                Requester::of(actor),
                intent.digest().to_string(),
                &stored,
                format!("Sign this with account {}?", input.from),
            )?
        })
        .await
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
