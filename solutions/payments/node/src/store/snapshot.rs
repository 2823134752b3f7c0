//! The base in a file, so that a start need not fold what lies below it.
//!
//! ```text
//! "entresol payments base 1\n" | length of the header, 8 bytes | header, JSON
//!   | leaves in slot order: account 20 | balance 16 | withdrawn 16 | nonce 8 | head 32 | keccak256 of all before
//! ```
//! Numbers are big endian. The file is bound to chain, gateway, batch, commitment and root, and is believed only if its
//! leaves hash to that root and layer 1, as the store knows it, has the batch's event where the file says.

use std::path::{Path, PathBuf};

use alloy::primitives::{Address, B256, U256, keccak256};
use entresol_durable::{write_file_atomically, write_point};
use payments_protocol::{Domain, Item, Leaf, State, state::PARTS};
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::chain::Base;
use crate::layer1::BlockRef;
use crate::parallel;

const MAGIC: &[u8] = b"entresol payments base 1\n";

/// Name of the file in the data directory.
const FILE: &str = "base.snapshot";

/// Bytes of a leaf, see [the module](self).
const LEAF: usize = 92;

/// What a start needs instead of everything below the base.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) base: Base,
    /// The inbox's accumulator at the base's end.
    pub(crate) accumulator: B256,
    /// Items that came before the base's event and that it has not consumed, each with its block.
    pub(crate) waiting: Vec<(u64, Item)>,
    /// Every message of the log below this sequence number can take effect no more after the base.
    pub(crate) first_message: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    chain_id: u64,
    gateway: Address,
    batch: u64,
    commitment: B256,
    root: B256,
    block: u64,
    block_hash: B256,
    block_parent: B256,
    block_timestamp: u64,
    log_index: u64,
    inbox_end: u64,
    inbox_len: u64,
    accumulator: B256,
    waiting: Vec<(u64, Item)>,
    claimed: Vec<(Address, U256)>,
    first_message: u64,
    leaves: u64,
}

/// Where the snapshot of a data directory lies.
pub(crate) fn file_in(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// Removes what kills in the middle of writing one have left. Whoever calls this has the folder's lock and writes none.
pub(crate) fn sweep(folder: &Path) {
    let prefix = format!("{FILE}.");
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(&prefix));
        if rest.is_some_and(|rest| rest.ends_with(".new")) {
            // It is only in the way; the next start tries again.
            #[allow(clippy::disallowed_methods, reason = "it never became durable")]
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Writes it in place of the one before.
pub(crate) fn write(file: &Path, domain: &Domain, snapshot: &Snapshot) -> Result<(), StoreError> {
    let base = &snapshot.base;
    let header = Header {
        chain_id: domain.chain_id(),
        gateway: domain.gateway(),
        batch: base.id,
        commitment: base.commitment,
        root: base.root,
        block: base.block.number,
        block_hash: base.block.hash,
        block_parent: base.block.parent,
        block_timestamp: base.block.timestamp,
        log_index: base.log_index,
        inbox_end: base.inbox_end,
        inbox_len: base.inbox_len,
        accumulator: snapshot.accumulator,
        waiting: snapshot.waiting.clone(),
        claimed: base.claimed.iter().map(|(account, total)| (*account, *total)).collect(),
        first_message: snapshot.first_message,
        leaves: base.state.len() as u64,
    };
    let header = serde_json::to_vec(&header).map_err(|error| StoreError::Damaged(error.to_string()))?;
    let mut bytes = Vec::with_capacity(MAGIC.len() + 40 + header.len() + base.state.len() * LEAF);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&(header.len() as u64).to_be_bytes());
    bytes.extend_from_slice(&header);
    for (account, leaf) in base.state.iter() {
        bytes.extend_from_slice(account.as_slice());
        bytes.extend_from_slice(&leaf.balance.to_be_bytes());
        bytes.extend_from_slice(&leaf.withdrawn.to_be_bytes());
        bytes.extend_from_slice(&leaf.nonce.to_be_bytes());
        bytes.extend_from_slice(leaf.head.as_slice());
    }
    let checksum = keccak256(&bytes);
    bytes.extend_from_slice(checksum.as_slice());
    write_point!("node.base.snapshot", write_file_atomically(file, &bytes, false))?;
    Ok(())
}

/// Reads it back; `None` without a file. An error says why the file is not to be believed.
pub(crate) fn read(file: &Path, domain: &Domain) -> Result<Option<Snapshot>, String> {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let (bytes, checksum) = bytes.split_last_chunk::<32>().ok_or("it is too short")?;
    if keccak256(bytes) != *checksum {
        return Err("its checksum does not fit".to_owned());
    }
    let rest = bytes.strip_prefix(MAGIC).ok_or("it is of another version of this program")?;
    let (len, rest) = rest.split_first_chunk::<8>().ok_or("it is too short")?;
    let len = usize::try_from(u64::from_be_bytes(*len)).map_err(|_| "its header is too long")?;
    let (header, leaves) = rest.split_at_checked(len).ok_or("its header is too long")?;
    let header: Header = serde_json::from_slice(header).map_err(|error| error.to_string())?;
    if (header.chain_id, header.gateway) != (domain.chain_id(), domain.gateway()) {
        return Err(format!("it belongs to {} on chain {}", header.gateway, header.chain_id));
    }
    if leaves.len() as u64 != header.leaves.saturating_mul(LEAF as u64) {
        return Err("leaves are missing".to_owned());
    }
    let state: State = leaves.chunks_exact(LEAF).filter_map(leaf).collect();
    parallel::all(PARTS, |part| {
        state.hash_part(u8::try_from(part).unwrap_or(u8::MAX));
        true
    });
    if state.root() != header.root {
        return Err(format!("its leaves do not hash to root {}", header.root));
    }
    let base = Base {
        id: header.batch,
        commitment: header.commitment,
        root: header.root,
        state,
        block: BlockRef {
            number: header.block,
            hash: header.block_hash,
            parent: header.block_parent,
            timestamp: header.block_timestamp,
        },
        log_index: header.log_index,
        inbox_end: header.inbox_end,
        inbox_len: header.inbox_len,
        claimed: header.claimed.into_iter().collect(),
    };
    let (accumulator, waiting, first_message) = (header.accumulator, header.waiting, header.first_message);
    if base.inbox_end.checked_add(waiting.len() as u64) != Some(base.inbox_len) {
        return Err("inbox items are missing".to_owned());
    }
    Ok(Some(Snapshot { base, accumulator, waiting, first_message }))
}

fn leaf(bytes: &[u8]) -> Option<(Address, Leaf)> {
    let (account, rest) = bytes.split_first_chunk::<20>()?;
    let (balance, rest) = rest.split_first_chunk::<16>()?;
    let (withdrawn, rest) = rest.split_first_chunk::<16>()?;
    let (nonce, head) = rest.split_first_chunk::<8>()?;
    let leaf = Leaf {
        balance: u128::from_be_bytes(*balance),
        withdrawn: u128::from_be_bytes(*withdrawn),
        nonce: u64::from_be_bytes(*nonce),
        head: B256::try_from(head).ok()?,
    };
    Some((Address::from(*account), leaf))
}
