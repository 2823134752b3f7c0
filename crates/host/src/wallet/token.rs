//! A deposit of tokens: the wallet itself allows the gateway to take exactly the amount, then calls the deposit.

use crate::error::HostError;
use crate::policy::TokenAmount;
use crate::text::quoted;
use alloy::primitives::{Address, U64, U256};
use entresol_layer1::{CallRequest, Layer1Error, Network};
use serde_json::{Value as Json, json};

/// `approve(address,uint256)` of ERC-20.
const APPROVE: [u8; 4] = [0x09, 0x5e, 0xa7, 0xb3];
/// Gas taken for a deposit that no endpoint can try behind its allowance.
const UNTRIED_GAS: u64 = 500_000;
/// A tried call used so much; the estimate that a call alone would get is a little higher (refunds, the 63/64 rule).
const TRIED_MARGIN_PERCENT: u64 = 20;

/// Both calls of a token deposit.
pub(super) struct Plan {
    /// The exact-amount allowance.
    pub(super) approve: CallRequest,
    pub(super) approve_gas: u64,
    /// Gas of the deposit behind it.
    pub(super) gas: u64,
    /// What was checked, in words.
    pub(super) checked: String,
}

/// The call that allows `spender` to take exactly `moved.amount` of `from`'s tokens.
fn approve(from: Address, spender: Address, moved: TokenAmount) -> CallRequest {
    let mut input = APPROVE.to_vec();
    input.extend(spender.into_word());
    input.extend(moved.amount.to_be_bytes::<32>());
    CallRequest { from, to: moved.token.into(), value: U256::ZERO, input: input.into() }
}

/// Tries both calls one after the other on the newest block: `spender` is the contract that `deposit` calls.
///
/// # Errors
/// There is no contract at the token's address; one of the calls would fail, in the contract's words.
pub(super) async fn plan(
    network: &Network,
    spender: Address,
    deposit: &CallRequest,
    moved: TokenAmount,
) -> Result<Plan, HostError> {
    if network.code(moved.token).await?.is_empty() {
        let words = format!("there is no contract at the token's address {}", moved.token.to_checksum(None));
        return Err(HostError::invalid(words));
    }
    let approve = approve(deposit.from, spender, moved);
    let approve_gas = network.estimate_gas(&approve).await?;
    let call = |one: &CallRequest| json!({ "from": one.from, "to": one.to, "value": one.value, "input": one.input });
    let both = json!([{ "blockStateCalls": [{ "calls": [call(&approve), call(deposit)] }] }, "latest"]);
    match network.request("eth_simulateV1", both).await {
        Ok(answer) => {
            let tried = &answer[0]["calls"][1];
            if tried["status"] != "0x1" {
                return Err(refused(tried));
            }
            let used = tried["gasUsed"].as_str().and_then(|hex| hex.parse::<U64>().ok()).map(|used| used.to::<u64>());
            let used = used.ok_or_else(|| HostError::internal("the endpoint simulated the call and told no gas"))?;
            let gas = used.saturating_add(used / 100 * TRIED_MARGIN_PERCENT);
            let checked =
                format!("both calls succeed one after the other on the newest block ({used} gas for the second)");
            Ok(Plan { approve, approve_gas, gas, checked })
        }
        Err(Layer1Error::Rpc { .. } | Layer1Error::BadAnswer { .. }) => Ok(Plan {
            approve,
            approve_gas,
            gas: UNTRIED_GAS,
            checked: "the first call succeeds on the newest block; the second could not be tried before it".to_owned(),
        }),
        Err(error) => Err(error.into()),
    }
}

fn refused(tried: &Json) -> HostError {
    let words = tried["error"]["message"].as_str().unwrap_or("it reverts");
    let data = tried["error"]["data"].as_str().or(tried["returnData"].as_str()).unwrap_or_default();
    HostError::new(
        crate::error::code::TRANSACTION_REJECTED,
        format!("the deposit would fail even with the allowance: {}", quoted(words)),
    )
    .with(json!({ "data": data }))
}
