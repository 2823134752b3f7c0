// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {BadWitness, DEPTH, Leaf, Witness} from "./Types.sol";

/// @title The sparse Merkle tree of accounts
/// @notice Keyed by hashed address. By index, one owner could hold two leaves and a message would replay from the
/// second; by the address itself, an attacker could fill a victim's path with siblings.
library Tree {
    /// @notice The path of `account`, its most significant bit first from the root.
    function path(address account) internal pure returns (uint160) {
        return uint160(bytes20(keccak256(abi.encodePacked(account))));
    }

    function leafHash(address account, Leaf memory leaf) internal pure returns (bytes32) {
        if (leaf.balance == 0 && leaf.withdrawn == 0 && leaf.nonce == 0 && leaf.head == 0) return 0;
        return keccak256(abi.encode(account, leaf.balance, leaf.withdrawn, leaf.nonce, leaf.head));
    }

    /// @notice The leaf that a witness tells of; not yet proven.
    function leafOf(Witness calldata witness) internal pure returns (Leaf memory) {
        return Leaf(witness.balance, witness.withdrawn, witness.nonce, witness.head);
    }

    /// @notice The root of the tree with `node` in `account`'s slot and all else as the witness says.
    /// @param number Named in the error when siblings are too few or too many.
    function rootWith(Witness calldata witness, address account, bytes32 node, uint256 number)
        internal
        pure
        returns (bytes32)
    {
        bytes32[] calldata siblings = witness.siblings;
        uint256 bitmap = witness.bitmap;
        uint256 bits = path(account);
        uint256 used;
        for (uint256 level; level < DEPTH; ++level) {
            bytes32 sibling;
            if (bitmap & 1 == 1) {
                if (used == siblings.length) revert BadWitness(number);
                sibling = siblings[used++];
            }
            if (node != 0 || sibling != 0) {
                node = bits & 1 == 0 ? pair(node, sibling) : pair(sibling, node);
            }
            bitmap >>= 1;
            bits >>= 1;
        }
        if (used != siblings.length) revert BadWitness(number);
        return node;
    }

    /// @dev In assembly, because keccak256(abi.encode(left, right)) takes new memory at each of up to 5 440 calls: the most
    /// expensive contest cost 5.70 M gas so, and costs 4.12 M; one of 8 payments 3.21 M and 1.71 M.
    function pair(bytes32 left, bytes32 right) private pure returns (bytes32 node) {
        assembly ("memory-safe") {
            mstore(0x00, left)
            mstore(0x20, right)
            node := keccak256(0x00, 0x40)
        }
    }
}
