// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title Strict ECDSA recovery and the EIP-712 shapes of the protocol
library Signatures {
    /// @dev Order of secp256k1, halved (rounded down): signatures with a larger s are the malleable twins.
    uint256 private constant HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;
    uint256 private constant ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;

    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant PAYMENT_TYPEHASH =
        keccak256("Payment(address from,address to,uint256 value,uint256 fee,uint64 nonce,bytes32 prev)");
    bytes32 private constant WITHDRAW_TYPEHASH =
        keccak256("Withdraw(address from,uint256 value,uint256 fee,uint64 nonce,bytes32 prev)");
    bytes32 private constant CLAIM_TO_TYPEHASH =
        keccak256("ClaimTo(address account,address recipient,uint256 claimedBefore,uint256 claimedAfter)");

    function domainSeparator(address gateway) internal view returns (bytes32) {
        return keccak256(
            abi.encode(DOMAIN_TYPEHASH, keccak256("Entresol Payments"), keccak256("1"), block.chainid, gateway)
        );
    }

    /// @notice The id of a Payment: its struct hash, never its signature bytes.
    function paymentId(address from, address to, uint256 value, uint256 fee, uint64 nonce, bytes32 prev)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(PAYMENT_TYPEHASH, from, to, value, fee, nonce, prev));
    }

    /// @notice The id of a Withdraw.
    function withdrawId(address from, uint256 value, uint256 fee, uint64 nonce, bytes32 prev)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(WITHDRAW_TYPEHASH, from, value, fee, nonce, prev));
    }

    function claimToHash(address account, address recipient, uint256 claimedBefore, uint256 claimedAfter)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(CLAIM_TO_TYPEHASH, account, recipient, claimedBefore, claimedAfter));
    }

    /// @notice Whether `account` signed `structHash`. Never reverts, and never takes what a stricter library would not:
    /// v, r and s are checked before the precompile is asked, so that every replica judges the same bytes the same way.
    function isSignedBy(address account, bytes32 domain, bytes32 structHash, bytes32 r, bytes32 s, uint8 v)
        internal
        pure
        returns (bool)
    {
        if (account == address(0)) return false;
        if (v != 27 && v != 28) return false;
        if (uint256(r) == 0 || uint256(r) >= ORDER) return false;
        if (uint256(s) == 0 || uint256(s) > HALF_ORDER) return false;
        return ecrecover(keccak256(abi.encodePacked(hex"1901", domain, structHash)), v, r, s) == account;
    }
}
