//! The committed artifact, read when asked for: it is data, and a build that carries it twice would only be larger.

use alloy::json_abi::JsonAbi;
use alloy::primitives::{Address, Bytes};
use alloy::sol_types::SolConstructor;
use serde::Deserialize;

use crate::PaymentsGateway;

/// What `cargo xtask contracts` wrote.
const ARTIFACT: &str = include_str!("../artifacts/PaymentsGateway.json");

/// The artifact in this build cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// It is not the JSON that `cargo xtask contracts` writes.
    #[error("artifacts/PaymentsGateway.json is not what `cargo xtask contracts` writes; run it and build again")]
    Json(#[source] serde_json::Error),
    /// A bytecode field is not hexadecimal.
    #[error(
        "artifacts/PaymentsGateway.json holds bytecode that is not hexadecimal; run `cargo xtask contracts` and build again"
    )]
    Hex(#[source] hex::FromHexError),
}

/// The fields of the artifact that this crate needs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    abi: JsonAbi,
    bytecode: String,
    deployed_bytecode: String,
}

fn artifact() -> Result<Artifact, ArtifactError> {
    serde_json::from_str(ARTIFACT).map_err(ArtifactError::Json)
}

fn decode(code: &str) -> Result<Vec<u8>, ArtifactError> {
    hex::decode(code.strip_prefix("0x").unwrap_or(code)).map_err(ArtifactError::Hex)
}

/// The constructor's parameters. Bounds: `challenge` and `force` 1 s to 60 d; outside the local chain ids 1337 and
/// 31337 at least 7 d, 24 h and 2.4 ETH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// The only account that may submit batches; not zero.
    pub operator: Address,
    /// Seconds during which a batch can be contested.
    pub challenge: u64,
    /// Seconds within which an inbox item must be consumed.
    pub force: u64,
    /// Wei of bond without which no batch is accepted.
    pub min_bond: u128,
}

/// The input of the transaction that deploys a gateway: creation bytecode, then the encoded constructor parameters.
///
/// # Errors
/// The committed artifact is broken.
pub fn creation_code(deployment: &Deployment) -> Result<Bytes, ArtifactError> {
    let mut code = decode(&artifact()?.bytecode)?;
    code.extend(
        PaymentsGateway::constructorCall {
            operator: deployment.operator,
            challenge: deployment.challenge,
            force: deployment.force,
            minBond: deployment.min_bond,
        }
        .abi_encode(),
    );
    Ok(code.into())
}

/// The deployed bytecode with zeros where immutable values go.
///
/// # Errors
/// The committed artifact is broken.
pub fn runtime_code() -> Result<Bytes, ArtifactError> {
    Ok(decode(&artifact()?.deployed_bytecode)?.into())
}

/// The ABI as solc wrote it.
///
/// # Errors
/// The committed artifact is broken.
pub fn abi() -> Result<JsonAbi, ArtifactError> {
    Ok(artifact()?.abi)
}
