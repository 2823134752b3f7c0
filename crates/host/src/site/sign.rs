//! Signatures that a site or an app asks for: `personal_sign` (EIP-191) and `eth_signTypedData_v4` (EIP-712). Always
//! before the user, by no policy. A sign-in (EIP-4361) is signed for the site that asks and for no other.

use super::asking::{self, Asking};
use crate::callers::{Asked, Caller};
use crate::duties::Signable;
use crate::error::{HostError, code};
use crate::siwe::{self, Expected};
use crate::text::row;
use crate::{Actor, Operation, now};
use alloy::primitives::Address;
use serde_json::{Value as Json, json};

/// `personal_sign` [data, address]; what follows (a password of old clients) is not looked at.
pub(crate) async fn personal_sign(mut asked: Asked) -> Result<Json, HostError> {
    let params = asked.list()?;
    let data = asking::text(&params, 0, "personal_sign: the message")?;
    let second = params.get(1).unwrap_or(&Json::Null);
    let from = match asking::address(second, "personal_sign: the account") {
        Ok(from) => from,
        // The older order. Guessing which of the two is meant would be guessing what is signed.
        Err(_) if data.parse::<Address>().is_ok() => {
            return Err(HostError::invalid("personal_sign takes [message, account], in this order"));
        }
        Err(error) => return Err(error),
    };
    let asking = Asking::new(&asked, from)?;
    let message = message_bytes(data)?;
    let mut signable = Signable::message(from, &message)?;
    sign_in(&asking, &message, &mut signable)?;
    let sentence = format!("{} asks you to sign a message with account {}. Sign it?", asking.words, asking.owner);
    let proposal = signable.proposal(asking.requester(), asking.owner, sentence)?;
    signature(asking.ask(proposal).await)
}

/// `eth_signTypedData_v4` [address, typed data]: the object or its text. Their domain must not name another chain than
/// the one the caller looks at.
pub(crate) async fn sign_typed_data(mut asked: Asked) -> Result<Json, HostError> {
    let params = asked.list()?;
    let from = asking::address(params.first().unwrap_or(&Json::Null), "eth_signTypedData_v4: the account")?;
    let asking = Asking::new(&asked, from)?;
    let typed = params.get(1).ok_or_else(|| HostError::invalid("eth_signTypedData_v4 takes [account, typed data]"))?;
    let chain_id = asking.host.caller_chain(&asking.caller)?.chain_id;
    let signable = Signable::typed(from, typed, Some(chain_id))?;
    let sentence = format!("{} asks you to sign typed data with account {}. Sign it?", asking.words, asking.owner);
    let proposal = signable.proposal(asking.requester(), asking.owner, sentence)?;
    signature(asking.ask(proposal).await)
}

/// Methods of old that this wallet has not, each with its reason.
pub(crate) async fn refused(asked: Asked) -> Result<Json, HostError> {
    asked.host.authorize(&Actor::Caller(asked.caller.clone()), &Operation::ReadLayer1, asked.method)?;
    let why = match asked.method {
        "eth_sign" => {
            "eth_sign signs a bare hash, which nobody can read and which may be a transaction: it is never signed; use \
             personal_sign or eth_signTypedData_v4"
        }
        "eth_signTransaction" => "a signed transaction is never handed out; use eth_sendTransaction",
        _ => {
            "only version 4 of typed data is signed, whose digest covers everything that is shown; use \
              eth_signTypedData_v4"
        }
    };
    Err(HostError::new(code::UNSUPPORTED, format!("{}: {why}", asked.method)).with(json!({ "method": asked.method })))
}

fn signature(outcome: Result<Json, HostError>) -> Result<Json, HostError> {
    Ok(outcome?["signature"].clone())
}

/// The message as sites write it: `0x` and hex digits are bytes, anything else is text. What begins as hex and is none is
/// not guessed at.
fn message_bytes(data: &str) -> Result<Vec<u8>, HostError> {
    match data.strip_prefix("0x") {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_hexdigit()) => {
            asking::bytes(data, "personal_sign: a message in hex")
        }
        _ => Ok(data.as_bytes().to_vec()),
    }
}

/// A sign-in must be for the site that asks: its host and port, this account, a chain of the wallet's. An app has no
/// origin to compare with, and so is only told what the message is.
fn sign_in(asking: &Asking, message: &[u8], signable: &mut Signable) -> Result<(), HostError> {
    let text = String::from_utf8_lossy(message);
    if !siwe::looks_like_siwe(&text) {
        return Ok(());
    }
    let origin = match &asking.caller {
        Caller::Site { origin, .. } => origin,
        Caller::App { .. } => {
            signable.warnings.push(format!(
                "{} is no website: with this signature it can sign in to the site that the message names, as you.",
                asking.words
            ));
            return Ok(());
        }
        Caller::Solution { .. } => {
            return Err(HostError::unauthorized("a sign-in message (EIP-4361) is never signed for a plugin"));
        }
    };
    let read = siwe::Message::parse(&text)
        .map_err(|error| HostError::unauthorized(format!("sign-in refused: {}", error.message)))?;
    let known = asking.host.store().networks()?.iter().any(|network| network.chain_id == read.chain_id);
    let chain_id = if known { read.chain_id } else { asking.host.caller_chain(&asking.caller)?.chain_id };
    let expected = Expected { origin, address: asking.address, chain_id, now: now() };
    signable.warnings.extend(read.check(&expected)?);
    signable.rows.insert(0, row("Sign-in", format!("to the site that asks, {origin}, with this very account")));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_hex_or_text_and_never_guessed_at() {
        for (data, expect) in [
            ("0x68656c6c6f", Some(&b"hello"[..])),
            ("0x", Some(b"")),
            ("hello", Some(b"hello")),
            ("0xhello", Some(b"0xhello")),
            ("", Some(b"")),
            ("0x123", None),
        ] {
            assert_eq!(message_bytes(data).ok().as_deref(), expect, "{data}");
        }
    }
}
