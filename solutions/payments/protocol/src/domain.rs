//! Which gateway on which chain a statement is for.

use alloy::primitives::{Address, B256, U256, keccak256};

use crate::abi;

/// The EIP-712 domain `{ name: "Entresol Payments", version: "1", chainId, verifyingContract: gateway }`.
///
/// Binds every message, claim and receipt to one gateway on one chain (threat 24: replay elsewhere).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain {
    chain_id: u64,
    gateway: Address,
    separator: B256,
}

impl Domain {
    /// `name` of the EIP-712 domain.
    pub const NAME: &str = "Entresol Payments";
    /// `version` of the EIP-712 domain.
    pub const VERSION: &str = "1";

    /// The domain of the gateway at this address on this chain.
    pub fn new(chain_id: u64, gateway: Address) -> Self {
        let type_hash = keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
        let separator =
            abi::hash([&type_hash, &keccak256(Self::NAME), &keccak256(Self::VERSION), &U256::from(chain_id), &gateway]);
        Self { chain_id, gateway, separator }
    }

    /// EIP-155 chain id of layer 1.
    pub fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// Address of the gateway contract on layer 1.
    pub fn gateway(&self) -> Address {
        self.gateway
    }

    /// EIP-712 domain separator (`hashStruct(eip712Domain)`).
    pub fn separator(&self) -> B256 {
        self.separator
    }

    /// EIP-712 digest `keccak256(0x1901 || separator || structHash)`: what is signed.
    pub fn digest(&self, struct_hash: B256) -> B256 {
        let mut bytes = [0u8; 66];
        bytes[0] = 0x19;
        bytes[1] = 0x01;
        bytes[2..34].copy_from_slice(self.separator.as_slice());
        bytes[34..].copy_from_slice(struct_hash.as_slice());
        keccak256(bytes)
    }
}
