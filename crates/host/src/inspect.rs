//! What a contract is, found out on the chain and not from its publisher: a proxy and what stands behind it, a token,
//! the standard gateway interface. Looked at when a solution is added, and whenever the user asks.
//!
//! What a contract *does* no probe can tell. These are the traps that are seen from outside: a token that poses as a
//! gateway (its `transfer` could be declared as a way to take value out), and code that can be exchanged afterwards.

use crate::error::HostError;
use crate::messages::{GatewayView, Row};
use crate::text::{ether, row};
use crate::token::{self, view, word};
use crate::{Actor, Host, Operation, wire};
use alloy::primitives::{Address, B256, U256, b256, keccak256};
use alloy::sol_types::SolCall;
use entresol_layer1::Network;
use entresol_package::Manifest;
use entresol_store::Solution;
use serde_json::{Value as Json, json};

/// The standard interface of gateways (`solutions/payments/contract/contracts/ILayer2Gateway.sol`) and ERC-165.
pub(crate) mod abi {
    alloy::sol! {
        function deposit(address to) external payable returns (uint256 index);
        function requestExit() external returns (uint256 index);
        function lockedBalance(address account) external view returns (uint256);
        function supportsInterface(bytes4 id) external view returns (bool);
        function implementation() external view returns (address);
        function totalLocked() external view returns (uint256);
        function totalDeposits() external view returns (uint256);
        function totalLiabilities() external view returns (uint256);
    }
}

/// EIP-1967: `keccak256("eip1967.proxy.implementation") - 1`, and so on.
const IMPLEMENTATION: B256 = b256!("360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc");
const BEACON: B256 = b256!("a3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6cb3582b35133d50");
const ADMIN: B256 = b256!("b53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103");
/// EIP-1822: `keccak256("PROXIABLE")`.
const PROXIABLE: B256 = b256!("c5f16f0fcc639fa48a6947836d9850f504798523bf8c9a3a87d5876cf622bcf7");
/// Before EIP-1967: `keccak256("org.zeppelinos.proxy.implementation")`.
const ZEPPELIN: B256 = b256!("7050c9e0f4ca769c69bd3a8ef740bc37934f8e2c036e5a723fd8ee048ed3f8c3");
/// EIP-1167: the code around the address of a minimal clone.
const CLONE: ([u8; 10], [u8; 15]) = (
    [0x36, 0x3d, 0x3d, 0x37, 0x3d, 0x3d, 0x3d, 0x36, 0x3d, 0x73],
    [0x5a, 0xf4, 0x3d, 0x82, 0x80, 0x3e, 0x90, 0x3d, 0x91, 0x60, 0x2b, 0x57, 0xfd, 0x5b, 0xf3],
);
/// EIP-7702: an account that runs another's code.
const DELEGATED: [u8; 3] = [0xef, 0x01, 0x00];
/// ERC-165 ids.
const ERC721: [u8; 4] = [0x80, 0xac, 0x58, 0xcd];
const ERC1155: [u8; 4] = [0xd9, 0xb6, 0x7a, 0x26];
const NONE: [u8; 4] = [0xff; 4];

/// How a contract runs another's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProxyKind {
    /// The address is part of the code: it can never change.
    Clone,
    /// An account with delegated code: its key changes it.
    Delegated,
    Eip1967,
    Beacon(Address),
    Eip1822,
    Zeppelin,
}

impl ProxyKind {
    const fn is_upgradable(self) -> bool {
        !matches!(self, Self::Clone)
    }

    fn words(self) -> String {
        match self {
            Self::Clone => "a minimal clone (EIP-1167, unchangeable)".to_owned(),
            Self::Delegated => "an account with delegated code (EIP-7702)".to_owned(),
            Self::Eip1967 => "an upgradable proxy (EIP-1967)".to_owned(),
            Self::Beacon(beacon) => format!("a proxy (EIP-1967) of the beacon {}", beacon.to_checksum(None)),
            Self::Eip1822 => "an upgradable proxy (EIP-1822)".to_owned(),
            Self::Zeppelin => "an upgradable proxy (of ZeppelinOS)".to_owned(),
        }
    }
}

/// What the chain says of a contract.
#[derive(Clone, Debug)]
pub(crate) struct Inspection {
    pub(crate) code_hash: B256,
    /// Whose code it runs, if another's, and the digest of that code.
    pub(crate) proxy: Option<(ProxyKind, Address, B256)>,
    /// Who may exchange the code (EIP-1967), where stated.
    pub(crate) admin: Option<Address>,
    /// `ERC-20`, `ERC-721` or `ERC-1155`.
    pub(crate) token: Option<&'static str>,
    pub(crate) token_name: Option<String>,
    /// It supports the standard gateway interface by ERC-165.
    pub(crate) standard_gateway: bool,
}

/// Looks at a contract; none where there is no code.
///
/// # Errors
/// The endpoint does not answer.
pub(crate) async fn inspect(network: &Network, address: Address) -> Result<Option<Inspection>, HostError> {
    let code = network.code(address).await?;
    if code.is_empty() {
        return Ok(None);
    }
    let proxy = match proxy_of(network, address, &code).await? {
        Some((kind, behind)) => Some((kind, behind, keccak256(network.code(behind).await?))),
        None => None,
    };
    let erc165 = supports(network, address, abi::supportsInterfaceCall::SELECTOR).await?
        && !supports(network, address, NONE).await?;
    let (mut token, mut standard_gateway) = (None, false);
    if erc165 {
        standard_gateway = supports(network, address, gateway_interface()).await?;
        for (id, name) in [(ERC721, "ERC-721"), (ERC1155, "ERC-1155")] {
            if token.is_none() && supports(network, address, id).await? {
                token = Some(name);
            }
        }
    }
    let described = token::read(network, address).await?;
    if token.is_none() && answers_as_erc20(network, address, &described).await? {
        token = Some("ERC-20");
    }
    Ok(Some(Inspection {
        code_hash: keccak256(&code),
        proxy,
        admin: slot(network, address, ADMIN).await?,
        token,
        token_name: token.map(|_| described.name(address)),
        standard_gateway,
    }))
}

/// ERC-165 id of the standard gateway interface: its selectors, exclusively or-ed.
pub(crate) fn gateway_interface() -> [u8; 4] {
    let selectors = [abi::depositCall::SELECTOR, abi::requestExitCall::SELECTOR, abi::lockedBalanceCall::SELECTOR];
    selectors.into_iter().fold([0; 4], |id, selector| std::array::from_fn(|i| id[i] ^ selector[i]))
}

async fn supports(network: &Network, address: Address, id: [u8; 4]) -> Result<bool, HostError> {
    let answer = view(network, address, abi::supportsInterfaceCall { id: id.into() }.abi_encode()).await?;
    Ok(answer.and_then(|data| word(&data)) == Some(U256::ONE))
}

/// A balance, a supply, and a symbol or decimals: nothing but a token answers all of that.
async fn answers_as_erc20(network: &Network, address: Address, token: &token::Token) -> Result<bool, HostError> {
    if token.symbol.is_none() && token.decimals.is_none() {
        return Ok(false);
    }
    let supply = view(network, address, token::totalSupplyCall {}.abi_encode()).await?;
    let balance = token::balance(network, address, address).await?;
    Ok(balance.is_some() && supply.and_then(|data| word(&data)).is_some())
}

/// The address in a storage slot; none for zero and for what is no address.
async fn slot(network: &Network, address: Address, slot: B256) -> Result<Option<Address>, HostError> {
    let answer = network.request("eth_getStorageAt", json!([address, slot, "latest"])).await?;
    let value: Option<B256> = answer.as_str().and_then(|text| text.parse().ok());
    Ok(value.filter(|value| !value.is_zero() && value[..12].iter().all(|b| *b == 0)).map(Address::from_word))
}

async fn proxy_of(network: &Network, address: Address, code: &[u8]) -> Result<Option<(ProxyKind, Address)>, HostError> {
    if let Some(behind) = clone_of(code) {
        return Ok(Some((ProxyKind::Clone, behind)));
    }
    if let Some(behind) = code.strip_prefix(&DELEGATED).filter(|rest| rest.len() == 20) {
        return Ok(Some((ProxyKind::Delegated, Address::from_slice(behind))));
    }
    if let Some(behind) = slot(network, address, IMPLEMENTATION).await? {
        return Ok(Some((ProxyKind::Eip1967, behind)));
    }
    if let Some(beacon) = slot(network, address, BEACON).await? {
        let answer = view(network, beacon, abi::implementationCall {}.abi_encode()).await?;
        let behind = answer.and_then(|data| word(&data)).map(|value| Address::from_word(value.into()));
        return Ok(Some((ProxyKind::Beacon(beacon), behind.unwrap_or_default())));
    }
    for (place, kind) in [(PROXIABLE, ProxyKind::Eip1822), (ZEPPELIN, ProxyKind::Zeppelin)] {
        if let Some(behind) = slot(network, address, place).await? {
            return Ok(Some((kind, behind)));
        }
    }
    Ok(None)
}

fn clone_of(code: &[u8]) -> Option<Address> {
    let address = code.strip_prefix(&CLONE.0)?.strip_suffix(&CLONE.1)?;
    (address.len() == 20).then(|| Address::from_slice(address))
}

impl Inspection {
    /// What is shown of it.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        if let Some((kind, behind, _)) = &self.proxy {
            rows.push(row("Gateway is", kind.words()));
            rows.push(row("Runs the code of", behind.to_checksum(None)));
        }
        if let Some(admin) = self.admin {
            rows.push(row("Code exchanged by", admin.to_checksum(None)));
        }
        if let (Some(kind), Some(name)) = (self.token, &self.token_name) {
            rows.push(row("Gateway is", format!("{name}, by {kind}")));
        }
        if self.standard_gateway {
            rows.push(row("Gateway interface", "standard: the wallet can ask for an exit without the plugin"));
        }
        rows
    }

    /// What the user must read.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(kind) = self.token {
            warnings.push(format!(
                "The gateway is itself a token ({kind}): a call that looks like a withdrawal could give your tokens \
                 away. A gateway is no token; do not add this unless you know why it is one."
            ));
        }
        if let Some((kind, behind, _)) = &self.proxy
            && kind.is_upgradable()
        {
            let who = self.admin.map(|admin| format!(" by {}", admin.to_checksum(None))).unwrap_or_default();
            warnings.push(format!(
                "The gateway's code can be exchanged{who}: it runs {} now. Policies pause when that changes.",
                behind.to_checksum(None)
            ));
        }
        warnings
    }

    /// What must stay the same for policies to go on: the code, and the code behind it.
    pub(crate) fn fingerprint(&self) -> Json {
        let behind = self.proxy.as_ref().map(|(_, address, code)| json!([address, code]));
        json!({ "code": self.code_hash, "behind": behind })
    }
}

/// Key of the fingerprint that was last agreed to.
fn fingerprint_key(solution: i64) -> String {
    format!("gateway:{solution}")
}

impl Host {
    /// Notes what the gateway is now, as what the user agreed to.
    ///
    /// # Errors
    /// The database; the network does not answer.
    pub(crate) async fn note_gateway(&self, solution: i64) -> Result<(), HostError> {
        if let Some((network, address)) = self.gateway_at(solution)?
            && let Some(found) = inspect(&network, address).await?
        {
            self.store().put_meta(&fingerprint_key(solution), &found.fingerprint())?;
        }
        Ok(())
    }

    /// False when the gateway runs other code than the user agreed to; its policies are paused then. Called before a
    /// policy lets anything pass.
    ///
    /// # Errors
    /// The database; the network does not answer.
    pub(crate) async fn gateway_is_unchanged(&self, solution: i64) -> Result<bool, HostError> {
        let Some((network, address)) = self.gateway_at(solution)? else { return Ok(true) };
        let found = inspect(&network, address).await?.map_or(Json::Null, |found| found.fingerprint());
        let key = fingerprint_key(solution);
        match self.store().meta(&key)? {
            // Added before this was noted, or while the network was away.
            None => {
                self.store().put_meta(&key, &found)?;
                Ok(true)
            }
            Some(known) if known == found => Ok(true),
            Some(_) => {
                self.pause_policies(solution, "the gateway's code, or the code behind its proxy, has changed");
                // The user sees the pause and resumes what still holds: what is there now counts from then on.
                self.store().put_meta(&key, &found)?;
                Ok(false)
            }
        }
    }

    fn gateway_at(&self, solution: i64) -> Result<Option<(Network, Address)>, HostError> {
        let Some(row) = self.store().solution(solution)? else { return Ok(None) };
        let Some(address) = row.spec.gateway.as_deref().and_then(|text| text.parse().ok()) else { return Ok(None) };
        Ok(Some((self.runtime(&row.spec.network)?.network, address)))
    }

    /// The gateway of a solution as the wallet finds it on layer 1, beside what the plugin claims.
    ///
    /// # Errors
    /// Not authorised; not found; no gateway; the network does not answer.
    pub async fn gateway(&self, actor: &Actor, solution: &str) -> Result<GatewayView, HostError> {
        self.authorize(actor, &Operation::Read, "gateway")?;
        let row = self.find(solution)?;
        let (network, address) = self
            .gateway_at(row.id)?
            .ok_or_else(|| HostError::invalid(format!("{} has no gateway contract", row.spec.name)))?;
        let found = inspect(&network, address).await?;
        let (mut rows, mut warnings) = (Vec::new(), Vec::new());
        match &found {
            Some(found) => {
                rows.extend(found.rows());
                warnings.extend(found.warnings());
            }
            None => warnings.push("There is no contract at the gateway's address any more.".to_owned()),
        }
        let manifest: Manifest = serde_json::from_value(row.spec.manifest.clone())
            .map_err(|e| HostError::internal(format!("stored manifest: {e}")))?;
        if manifest.knows_gateway(network.chain_id(), address) {
            rows.push(crate::text::row("Publisher", "lists this contract in the package"));
        } else {
            warnings.push("The publisher of this package does not know this contract.".to_owned());
        }
        let locked = self.locked_balance(&network, address, &row).await?;
        let contract_balance = network.balance(address).await?;
        let owed = total_owed(&network, address).await?;
        Ok(GatewayView {
            solution: row.spec.name.clone(),
            address: address.to_checksum(None),
            rows,
            warnings,
            locked_balance: locked.map(|locked| locked.to_string()),
            claimed_balance: self.claimed_balance(&row)?,
            contract_balance: contract_balance.to_string(),
            solvency: solvency(contract_balance, owed, locked),
        })
    }

    /// Wei that the gateway counts for the layer-2 accounts of a solution; none where it does not say.
    async fn locked_balance(
        &self,
        network: &Network,
        gateway: Address,
        row: &Solution,
    ) -> Result<Option<U256>, HostError> {
        let root = self.key_path(row.id)?;
        let mut sum: Option<U256> = None;
        for index in self.store().account_indices(row.id)? {
            // Locked, and the account not open: what can be read is not the whole.
            let Ok(account) = self.vault().subtree_account(&root, index) else { return Ok(None) };
            let call = abi::lockedBalanceCall { account: account.address }.abi_encode();
            let Some(part) = view(network, gateway, call).await?.and_then(|data| word(&data)) else { return Ok(None) };
            sum = Some(sum.unwrap_or_default().saturating_add(part));
        }
        Ok(sum)
    }

    /// The published field with the role `balance`: the plugin's claim.
    fn claimed_balance(&self, row: &Solution) -> Result<Option<Json>, HostError> {
        let interface = crate::interface::Interface::parse(&row.spec.interface)?;
        let field = interface.state.iter().find(|field| field.role.as_deref() == Some("balance"));
        let Some(field) = field else { return Ok(None) };
        let state = self.store().layer2_state(row.id)?;
        Ok(state.and_then(|state| state.get(&field.name).map(wire::untag)))
    }
}

/// What the contract says it owes to everybody together, under the names that gateways use; none where it does not say.
async fn total_owed(network: &Network, gateway: Address) -> Result<Option<U256>, HostError> {
    let calls = [
        abi::totalLockedCall {}.abi_encode(),
        abi::totalLiabilitiesCall {}.abi_encode(),
        abi::totalDepositsCall {}.abi_encode(),
    ];
    for call in calls {
        if let Some(owed) = view(network, gateway, call).await?.and_then(|data| word(&data)) {
            return Ok(Some(owed));
        }
    }
    Ok(None)
}

fn solvency(holds: U256, owed: Option<U256>, locked: Option<U256>) -> String {
    match (owed, locked) {
        (Some(owed), _) if holds < owed => {
            format!("NOT SOLVENT: the contract holds {} and says that it owes {}", ether(holds), ether(owed))
        }
        (Some(owed), _) => format!("the contract holds {} and says that it owes {}", ether(holds), ether(owed)),
        (None, Some(locked)) if holds < locked => format!(
            "NOT SOLVENT: the contract holds {}, less than the {} that it counts for you alone",
            ether(holds),
            ether(locked)
        ),
        (None, _) => format!(
            "cannot tell: the contract holds {} and does not say what it owes to everybody together",
            ether(holds)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slots_and_the_interface_are_those_of_the_standards() {
        let minus_one = |text: &str| B256::from(U256::from_be_bytes(keccak256(text).0) - U256::ONE);
        assert_eq!(IMPLEMENTATION, minus_one("eip1967.proxy.implementation"));
        assert_eq!(BEACON, minus_one("eip1967.proxy.beacon"));
        assert_eq!(ADMIN, minus_one("eip1967.proxy.admin"));
        assert_eq!(PROXIABLE, keccak256("PROXIABLE"));
        assert_eq!(ZEPPELIN, keccak256("org.zeppelinos.proxy.implementation"));
        assert_eq!(abi::supportsInterfaceCall::SELECTOR, [0x01, 0xff, 0xc9, 0xa7]);
    }

    #[test]
    fn minimal_clones_are_seen_in_the_code() {
        let behind = Address::repeat_byte(0xbe);
        let code = [&CLONE.0[..], behind.as_slice(), &CLONE.1[..]].concat();
        assert_eq!(clone_of(&code), Some(behind));
        assert_eq!(clone_of(&code[..44]), None);
        assert_eq!(clone_of(&[code.as_slice(), &[0]].concat()), None);
    }

    #[test]
    fn solvency_is_told_or_said_to_be_unknown() {
        let wei = |n: u64| U256::from(n);
        assert!(solvency(wei(5), Some(wei(6)), None).starts_with("NOT SOLVENT"));
        assert!(solvency(wei(6), Some(wei(6)), None).starts_with("the contract holds"));
        assert!(solvency(wei(5), None, Some(wei(6))).starts_with("NOT SOLVENT"));
        assert!(solvency(wei(6), None, Some(wei(6))).starts_with("cannot tell"));
    }
}
