// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// The shapes that cross the gateway's boundary, and the numbers that both sides of the protocol share.

/// @dev The most messages, and the most inbox items, in one chunk. Bounds what one contest recomputes.
uint256 constant CHUNK_SIZE = 8;
/// @dev The most chunks in one batch. Bounds the preimage that a contest carries.
uint256 constant CHUNK_LIMIT = 120;
/// @dev Bytes of a message record: kind 1 | from 20 | to 20 | value 12 | fee 4 (gwei) | r 32 | s 32 | v 1.
uint256 constant RECORD_BYTES = 122;
/// @dev The most levels that a path in the account tree has.
uint256 constant DEPTH = 160;

/// @dev Kinds of message records.
uint8 constant KIND_PAYMENT = 1;
uint8 constant KIND_WITHDRAW = 2;

/// @dev Kinds of inbox items.
uint8 constant ITEM_DEPOSIT = 1;
uint8 constant ITEM_FORCED_EXIT = 2;
uint8 constant ITEM_POSTED_WITHDRAW = 3;

/// @notice What a layer-2 account is. All zero: the account does not exist, and has no leaf.
struct Leaf {
    uint128 balance;
    /// Ever withdrawn: only grows. The gateway pays what it has grown beyond `claimed`.
    uint128 withdrawn;
    /// Number of outgoing messages and forced withdrawals that took effect.
    uint64 nonce;
    /// Id of the latest of those.
    bytes32 head;
}

/// @notice The leaf at the end of an account's path, and the path. The leaf is the account's own; or there is none; or it
/// is a neighbour's, with whom alone it shares the first `siblings.length` bits of its path: then the account has none.
struct Witness {
    /// Whose leaf it is; without meaning when all four leaf fields are zero.
    address account;
    uint128 balance;
    uint128 withdrawn;
    uint64 nonce;
    bytes32 head;
    /// The sibling of every level of the path, leaf upwards: at most 160, zero where nothing lies.
    bytes32[] siblings;
}

/// @notice An inbox item without its index.
struct Item {
    uint8 kind;
    /// deposit: who receives it; otherwise whose value leaves.
    address who;
    uint128 value;
    uint128 fee;
    /// When it entered the inbox.
    uint64 time;
    /// Struct hash of a posted Withdraw, else 0.
    bytes32 messageId;
    /// Who called the gateway.
    address depositor;
}

/// @notice What a batch's commitment is made of, in this order.
struct Preimage {
    uint256 id;
    bytes32 previousCommitment;
    /// Who is paid the fees.
    address proposer;
    uint64 inboxStart;
    uint64 inboxEnd;
    bytes32[] leaves;
}

/// @notice What a batch's leaf is made of.
struct Opening {
    /// keccak256 of a message chunk's records; 0 for an inbox chunk.
    bytes32 dataHash;
    /// The root after the chunk, as claimed.
    bytes32 root;
}

/// @notice Merkle path `number` (from 0) does not lead to the root or ends at a leaf that cannot lie there, or there are
/// too few or too many.
error BadWitness(uint256 number);
