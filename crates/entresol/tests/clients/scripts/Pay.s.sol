// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.20;

/// The part of forge's own contract that a script needs.
interface Vm {
    function startBroadcast(address signer) external;
    function stopBroadcast() external;
}

/// Counts.
contract Counter {
    uint256 public count;

    function add(uint256 number) external payable {
        count += number;
    }
}

/// Pays somebody, deploys a contract, and calls it: three transactions.
contract Pay {
    Vm private constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    function run(address from, address payable to) external {
        VM.startBroadcast(from);
        to.transfer(0.25 ether);
        Counter counter = new Counter();
        counter.add{value: 1 gwei}(7);
        VM.stopBroadcast();
    }
}
