//! Token contracts as people know them: a symbol and decimals where the contract answers sanely. What a contract calls
//! itself is its own word: it is quoted, and its address always stands beside it.

use crate::text::{quoted, units};
use alloy::primitives::{Address, Bytes, U256};
use alloy::sol_types::{SolCall, SolValue};
use entresol_layer1::{CallRequest, Layer1Error, Network};
use std::collections::BTreeMap;

alloy::sol! {
    function symbol() external view returns (string);
    function decimals() external view returns (uint8);
    function balanceOf(address owner) external view returns (uint256);
    function totalSupply() external view returns (uint256);
    function transfer(address to, uint256 amount) external returns (bool);
}

/// Longest symbol that is believed, in characters; the longest of ordinary tokens have about ten.
const LONGEST_SYMBOL: usize = 32;
/// Most decimals that are believed: more than 36 is no unit that anybody writes.
const MOST_DECIMALS: u8 = 36;

/// What a token contract says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token {
    /// Its symbol as it stands in the contract: foreign words.
    pub symbol: Option<String>,
    /// Digits after the point; none where the contract names none (ERC-721) or something absurd.
    pub decimals: Option<u8>,
}

/// Tokens by address.
pub type Tokens = BTreeMap<Address, Token>;

impl Token {
    /// `1.5 “USDC” (1500000 units of the token 0x…)`: exact, with the address in full.
    #[must_use]
    pub fn amount(&self, address: Address, amount: U256) -> String {
        let address = address.to_checksum(None);
        match (self.decimals, &self.symbol) {
            (Some(decimals), Some(symbol)) => {
                let (shown, symbol) = (units(amount, decimals), quoted(symbol));
                format!("{shown} {symbol} ({amount} units of the token {address})")
            }
            (Some(decimals), None) => {
                format!("{} ({amount} units of the token {address})", units(amount, decimals))
            }
            _ => format!("{amount} units of the token {address}"),
        }
    }

    /// `the token “USDC” 0x…`.
    #[must_use]
    pub fn name(&self, address: Address) -> String {
        match &self.symbol {
            Some(symbol) => format!("the token {} {}", quoted(symbol), address.to_checksum(None)),
            None => format!("the token {}", address.to_checksum(None)),
        }
    }
}

/// [`Token::amount`] for a token that may not be known.
pub(crate) fn amount(tokens: &Tokens, address: Address, amount: U256) -> String {
    tokens.get(&address).cloned().unwrap_or_default().amount(address, amount)
}

/// [`Token::name`] for a token that may not be known.
pub(crate) fn name(tokens: &Tokens, address: Address) -> String {
    tokens.get(&address).cloned().unwrap_or_default().name(address)
}

/// Asks a contract what it calls itself. A contract that does not answer, or answers nonsense, has no symbol.
///
/// # Errors
/// The endpoint does not answer.
pub(crate) async fn read(network: &Network, address: Address) -> Result<Token, Layer1Error> {
    let symbol = view(network, address, symbolCall {}.abi_encode()).await?.and_then(|data| read_symbol(&data));
    let decimals = view(network, address, decimalsCall {}.abi_encode()).await?;
    let decimals = decimals.and_then(|data| word(&data)).and_then(|value| u8::try_from(value).ok());
    Ok(Token { symbol, decimals: decimals.filter(|decimals| *decimals <= MOST_DECIMALS) })
}

/// Reads several, each once.
///
/// # Errors
/// The endpoint does not answer.
pub(crate) async fn read_all(
    network: &Network,
    addresses: impl IntoIterator<Item = Address>,
) -> Result<Tokens, Layer1Error> {
    let mut tokens = Tokens::new();
    for address in addresses {
        if let std::collections::btree_map::Entry::Vacant(place) = tokens.entry(address) {
            place.insert(read(network, address).await?);
        }
    }
    Ok(tokens)
}

/// A token's balance of an account; none where the contract does not say.
///
/// # Errors
/// The endpoint does not answer.
pub(crate) async fn balance(network: &Network, token: Address, owner: Address) -> Result<Option<U256>, Layer1Error> {
    let answer = view(network, token, balanceOfCall { owner }.abi_encode()).await?;
    Ok(answer.and_then(|data| word(&data)))
}

/// Calldata of an ERC-20 transfer.
pub(crate) fn transfer_input(to: Address, amount: U256) -> Bytes {
    transferCall { to, amount }.abi_encode().into()
}

/// A view call: none where the contract reverts or the node refuses to run it.
///
/// # Errors
/// The endpoint does not answer.
pub(crate) async fn view(network: &Network, to: Address, input: Vec<u8>) -> Result<Option<Bytes>, Layer1Error> {
    let call = CallRequest { from: Address::ZERO, to: to.into(), value: U256::ZERO, input: input.into() };
    match network.call(&call).await {
        Ok(data) => Ok(Some(data)),
        Err(error @ (Layer1Error::Unreachable { .. } | Layer1Error::Closed | Layer1Error::ChainIdMismatch { .. })) => {
            Err(error)
        }
        Err(_) => Ok(None),
    }
}

/// The one word of an answer; none for an answer of another length.
pub(crate) fn word(data: &[u8]) -> Option<U256> {
    (data.len() == 32).then(|| U256::from_be_slice(data))
}

/// A string, or the bytes32 that the first tokens answered.
fn read_symbol(data: &[u8]) -> Option<String> {
    let text = match data.len() {
        32 => {
            let end = data.iter().position(|b| *b == 0).unwrap_or(32);
            String::from_utf8(data[..end].to_vec()).ok()?
        }
        _ => String::abi_decode(data).ok()?,
    };
    (!text.is_empty() && text.chars().count() <= LONGEST_SYMBOL).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_of_both_kinds_are_read_and_nonsense_is_not() {
        let mut old = [0; 32];
        old[..3].copy_from_slice(b"MKR");
        assert_eq!(read_symbol(&old).as_deref(), Some("MKR"));
        assert_eq!(read_symbol(&"USDC".to_owned().abi_encode()).as_deref(), Some("USDC"));
        for nonsense in [vec![], vec![0; 32], vec![0xff; 32], vec![0xff; 96], "x".repeat(33).abi_encode()] {
            assert_eq!(read_symbol(&nonsense), None, "{nonsense:?}");
        }
    }

    #[test]
    fn row_22_a_tokens_name_is_its_own_word() {
        let token = Token { symbol: Some("US\u{202e}DC\u{1b}[2J".into()), decimals: Some(6) };
        let shown = token.amount(Address::ZERO, U256::from(1_500_000));
        assert_eq!(
            shown,
            "1.5 “US⟨U+202E⟩DC⟨U+001B⟩[2J” (1500000 units of the token 0x0000000000000000000000000000000000000000)"
        );
    }
}
