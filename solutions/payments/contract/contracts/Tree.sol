// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {BadWitness, DEPTH, Leaf, Witness} from "./Types.sol";

/// @title The sparse Merkle tree of accounts
/// @notice Keyed by hashed address. By index, one owner could hold two leaves and a message would replay from the
/// second; by the address itself, an attacker could fill a victim's path with siblings.
///
/// The subtree of all slots that begin with the same bits is 0 without a leaf, that leaf's hash with exactly one, and
/// otherwise keccak256(left, right) of the two subtrees that the next bit parts. So one state has one root, and each
/// account one witness of it: nothing is 0, a leaf is the hash of 160 bytes and a node that of 64, and neither two zeros
/// nor a leaf and a zero have a parent.
///
/// No leaf is ever taken out, because none becomes empty: nonce and withdrawn never fall, and a balance is only taken by
/// what raises the nonce.
library Tree {
    /// @notice The path of `account`, its most significant bit first from the root.
    function path(address account) internal pure returns (uint160) {
        return uint160(bytes20(keccak256(abi.encodePacked(account))));
    }

    function leafHash(address account, Leaf memory leaf) internal pure returns (bytes32) {
        if (leaf.balance == 0 && leaf.withdrawn == 0 && leaf.nonce == 0 && leaf.head == 0) return 0;
        return keccak256(abi.encode(account, leaf.balance, leaf.withdrawn, leaf.nonce, leaf.head));
    }

    /// @notice What `account` has in the tree with this root.
    /// @param number Named in the error when the witness does not prove it.
    /// @return leaf The account's; empty when the path ends at nothing or at a neighbour's leaf.
    /// @return foreign Another account holds the slot (its address hashes to the same path).
    function read(Witness calldata witness, address account, bytes32 root, uint256 number)
        internal
        pure
        returns (Leaf memory leaf, bool foreign)
    {
        uint256 levels = witness.siblings.length;
        if (levels > DEPTH) revert BadWitness(number);
        leaf = _shown(witness);
        uint256 bits = path(account);
        bytes32 hash = leafHash(witness.account, leaf);
        if (_climb(witness.siblings, bits, hash) != root) revert BadWitness(number);
        if (hash == 0 || witness.account == account) return (leaf, false);
        uint256 apart = bits ^ path(witness.account);
        // A leaf lies on its own path only.
        if (apart >> (DEPTH - levels) != 0) revert BadWitness(number);
        return (Leaf(0, 0, 0, 0), apart == 0);
    }

    /// @notice The root once `account` has `leaf`. The witness is one that `read` took, and the slot not foreign.
    function write(Witness calldata witness, address account, Leaf memory leaf) internal pure returns (bytes32) {
        bytes32 node = leafHash(account, leaf);
        uint256 bits = path(account);
        if (witness.account != account) {
            bytes32 neighbour = leafHash(witness.account, _shown(witness));
            if (node == 0) {
                node = neighbour;
            } else if (neighbour != 0) {
                uint256 height = DEPTH - witness.siblings.length;
                node = _fork(bits, node, path(witness.account), neighbour, height);
            }
        }
        return _climb(witness.siblings, bits, node);
    }

    /// @dev The leaf at the end of the path, whosever it is.
    function _shown(Witness calldata witness) private pure returns (Leaf memory) {
        return Leaf(witness.balance, witness.withdrawn, witness.nonce, witness.head);
    }

    /// @dev The subtree `height` levels high with these two leaves, whose paths differ in some of the lowest `height` bits.
    function _fork(uint256 bits, bytes32 node, uint256 otherBits, bytes32 other, uint256 height)
        private
        pure
        returns (bytes32)
    {
        uint256 apart = bits ^ otherBits;
        uint256 level = height - 1;
        while (apart >> level == 0) --level;
        node = _above(bits >> level, node, other);
        for (++level; level < height; ++level) {
            node = _above(bits >> level, node, 0);
        }
        return node;
    }

    /// @dev The root when `node` is at the end of the path.
    function _climb(bytes32[] calldata siblings, uint256 bits, bytes32 node) private pure returns (bytes32) {
        uint256 levels = siblings.length;
        bits >>= DEPTH - levels;
        for (uint256 i; i < levels; ++i) {
            node = _above(bits, node, siblings[i]);
            bits >>= 1;
        }
        return node;
    }

    /// @dev The node above `node`, which is the right child if the lowest of `bits` is set, and its sibling. In assembly,
    /// because keccak256(abi.encode(left, right)) takes new memory at each of up to 5 440 calls: when first measured, that
    /// made the most expensive contest 5.70 M gas instead of 4.12 M.
    function _above(uint256 bits, bytes32 node, bytes32 sibling) private pure returns (bytes32 parent) {
        assembly ("memory-safe") {
            let side := shl(5, and(bits, 1))
            mstore(side, node)
            mstore(xor(side, 0x20), sibling)
            parent := keccak256(0x00, 0x40)
        }
    }
}
