// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {
    BadWitness,
    ITEM_DEPOSIT,
    ITEM_FORCED_EXIT,
    Item,
    KIND_PAYMENT,
    KIND_WITHDRAW,
    Leaf,
    RECORD_BYTES,
    Witness
} from "./Types.sol";
import {Signatures} from "./Signatures.sol";
import {Tree} from "./Tree.sol";

/// @title The state transition, recomputed from witnesses
/// @notice Total: whatever lies in a batch, a root comes out. What is invalid has no effect. The only reverts are for
/// witnesses that do not fit, which are the challenger's own. The Rust crate `payments-protocol` computes the same.
/// @dev Balance and nonce arithmetic after the checks wraps, so that no root, however false, can make it revert.
library Transition {
    /// @notice Where the recomputation stands.
    struct Walk {
        /// The root so far.
        bytes32 root;
        /// How many witnesses are used up.
        uint256 used;
    }

    /// @notice Applies a chunk of messages, then credits their fees to the proposer.
    /// @param domain EIP-712 domain separator.
    /// @param root Root before the chunk.
    /// @return Root after it.
    function applyMessages(
        bytes32 domain,
        bytes32 root,
        address proposer,
        bytes calldata records,
        Witness[] calldata witnesses
    ) internal pure returns (bytes32) {
        Walk memory walk = Walk(root, 0);
        uint256 fees;
        for (uint256 from; from + RECORD_BYTES <= records.length; from += RECORD_BYTES) {
            fees += _message(walk, domain, records[from:from + RECORD_BYTES], witnesses);
        }
        if (fees > 0) {
            (Witness calldata slot, Leaf memory leaf, bool foreign) = _read(walk, proposer, witnesses);
            if (!foreign) {
                unchecked {
                    leaf.balance += uint128(fees);
                }
                _write(walk, slot, proposer, leaf);
            }
        }
        if (walk.used != witnesses.length) revert BadWitness(walk.used);
        return walk.root;
    }

    /// @notice Applies a chunk of inbox items.
    /// @param chainId The chain for which the gateway was deployed.
    /// @param accumulator The inbox accumulator before `first`.
    /// @param first Index of the first item.
    /// @return Root and accumulator after the chunk; the caller checks the latter.
    function applyItems(
        uint256 chainId,
        bytes32 root,
        bytes32 accumulator,
        uint64 first,
        Item[] calldata items,
        Witness[] calldata witnesses
    ) internal view returns (bytes32, bytes32) {
        Walk memory walk = Walk(root, 0);
        for (uint64 i; i < items.length; ++i) {
            bytes32 hash = itemHash(first + i, items[i]);
            accumulator = keccak256(abi.encode(accumulator, hash));
            _item(walk, chainId, first + i, hash, items[i], witnesses);
        }
        if (walk.used != witnesses.length) revert BadWitness(walk.used);
        return (walk.root, accumulator);
    }

    function itemHash(uint64 index, Item memory item) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                index, item.kind, item.who, item.value, item.fee, item.time, item.messageId, item.depositor
            )
        );
    }

    /// @return fee What the message pays the proposer, in wei; 0 when it has no effect.
    function _message(Walk memory walk, bytes32 domain, bytes calldata record, Witness[] calldata witnesses)
        private
        pure
        returns (uint256 fee)
    {
        uint8 kind = uint8(record[0]);
        address from = address(bytes20(record[1:21]));
        address to = address(bytes20(record[21:41]));
        uint256 value = uint96(bytes12(record[41:53]));
        fee = uint256(uint32(bytes4(record[53:57]))) * 1 gwei;

        // Every record uses its sender's witness, whatever else is wrong with it.
        (Witness calldata slot, Leaf memory sender, bool foreign) = _read(walk, from, witnesses);
        if (foreign) return 0;
        bytes32 id;
        if (kind == KIND_PAYMENT && to != address(0)) {
            id = Signatures.paymentId(from, to, value, fee, sender.nonce, sender.head);
        } else if (kind == KIND_WITHDRAW && to == address(0)) {
            id = Signatures.withdrawId(from, value, fee, sender.nonce, sender.head);
        } else {
            return 0;
        }
        if (sender.balance < value + fee) return 0;
        if (
            !Signatures.isSignedBy(
                from, domain, id, bytes32(record[57:89]), bytes32(record[89:121]), uint8(record[121])
            )
        ) return 0;

        bytes32 before = walk.root;
        unchecked {
            sender.balance -= uint128(value + fee);
            sender.nonce += 1;
            if (kind == KIND_WITHDRAW) sender.withdrawn += uint128(value);
        }
        sender.head = id;
        _write(walk, slot, from, sender);
        if (kind == KIND_WITHDRAW) return fee;

        // The recipient is read against the new root, so that paying oneself is two ordinary reads.
        Leaf memory recipient;
        (slot, recipient, foreign) = _read(walk, to, witnesses);
        if (foreign) {
            walk.root = before;
            return 0;
        }
        unchecked {
            recipient.balance += uint128(value);
        }
        _write(walk, slot, to, recipient);
    }

    function _item(
        Walk memory walk,
        uint256 chainId,
        uint64 index,
        bytes32 hash,
        Item calldata item,
        Witness[] calldata witnesses
    ) private view {
        (Witness calldata slot, Leaf memory leaf, bool foreign) = _read(walk, item.who, witnesses);
        if (foreign) return;
        unchecked {
            if (item.kind == ITEM_DEPOSIT) {
                leaf.balance += item.value;
            } else if (item.kind == ITEM_FORCED_EXIT) {
                leaf.withdrawn += leaf.balance;
                leaf.balance = 0;
                leaf.nonce += 1;
                leaf.head = keccak256(abi.encode(address(this), chainId, index, hash));
            } else {
                // A posted Withdraw. Its fee is part of what was signed, and is not charged: nobody had to be paid.
                if (Signatures.withdrawId(item.who, item.value, item.fee, leaf.nonce, leaf.head) != item.messageId) {
                    return;
                }
                if (leaf.balance < item.value) return;
                leaf.balance -= item.value;
                leaf.withdrawn += item.value;
                leaf.nonce += 1;
                leaf.head = item.messageId;
            }
        }
        _write(walk, slot, item.who, leaf);
    }

    /// @notice Uses the next witness to read the slot of `account`.
    /// @return slot The witness, for writing back.
    /// @return leaf What the account has.
    /// @return foreign Another account holds the slot (its address hashes to the same path).
    function _read(Walk memory walk, address account, Witness[] calldata witnesses)
        private
        pure
        returns (Witness calldata slot, Leaf memory leaf, bool foreign)
    {
        uint256 number = walk.used++;
        if (number >= witnesses.length) revert BadWitness(number);
        slot = witnesses[number];
        (leaf, foreign) = Tree.read(slot, account, walk.root, number);
    }

    function _write(Walk memory walk, Witness calldata slot, address account, Leaf memory leaf) private pure {
        walk.root = Tree.write(slot, account, leaf);
    }
}
