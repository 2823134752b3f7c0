// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title What every entresol gateway offers
/// @notice A wallet that finds this interface by ERC-165 can move value in, and ask for it back, without the ABI of
/// the particular layer 2.
interface ILayer2Gateway {
    /// @notice `value` wei entered for layer-2 account `to`.
    /// @param depositor Who paid.
    /// @param to Who owns it on layer 2.
    /// @param value Wei.
    /// @param index Place in the gateway's inbox.
    event Deposited(address indexed depositor, address indexed to, uint256 value, uint256 index);

    /// @notice Pays the call's value in for layer-2 account `to`.
    /// @param to Who owns it on layer 2; not zero.
    /// @return index Place in the gateway's inbox.
    function deposit(address to) external payable returns (uint256 index);

    /// @notice Forces everything that the caller owns on layer 2 out.
    /// @return index Place in the gateway's inbox.
    function requestExit() external returns (uint256 index);

    /// @notice Wei deposited for `account` and not reclaimed. Informational: no rule reads it.
    /// @param account A layer-2 account.
    /// @return Wei.
    function lockedBalance(address account) external view returns (uint256);
}
