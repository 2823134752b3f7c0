// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

// Contracts of the host's tests. `Duties.json` holds their creation code, made once with the compiler that
// `solutions/payments/contract/package-lock.json` pins: in a copy of that folder `npm ci --ignore-scripts`, then
// `node node_modules/solc/solc.js --standard-json` with this file as `Duties.sol`, optimizer on (200 runs), evmVersion
// "cancun", metadata { bytecodeHash: "none", appendCBOR: false }, output selection evm.bytecode.object.

/// An honest ERC-20 with a hostile name: a bidirectional override and an escape sequence.
contract Coin {
    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    string public constant symbol = unicode"CO\u202eIN";
    uint8 public constant decimals = 6;
    uint256 public totalSupply;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    constructor(address owner) {
        totalSupply = 1000e6;
        balanceOf[owner] = 1000e6;
        emit Transfer(address(0), owner, 1000e6);
    }

    function transfer(address to, uint256 value) external returns (bool) {
        balanceOf[msg.sender] -= value;
        balanceOf[to] += value;
        emit Transfer(msg.sender, to, value);
        return true;
    }

    function approve(address spender, uint256 value) external returns (bool) {
        allowance[msg.sender][spender] = value;
        emit Approval(msg.sender, spender, value);
        return true;
    }
}

/// One of its kind, as far as ERC-165 says so.
contract Picture {
    function supportsInterface(bytes4 id) external pure returns (bool) {
        return id == 0x01ffc9a7 || id == 0x80ac58cd;
    }
}

/// A proxy of EIP-1967, upgradable by anybody.
contract Proxy {
    // keccak256("eip1967.proxy.implementation") - 1
    bytes32 private constant SLOT = 0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc;

    constructor(address implementation) {
        upgrade(implementation);
    }

    function upgrade(address implementation) public {
        assembly {
            sstore(SLOT, implementation)
        }
    }

    fallback() external payable {
        assembly {
            calldatacopy(0, 0, calldatasize())
            let ok := delegatecall(gas(), sload(SLOT), 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            if iszero(ok) { revert(0, returndatasize()) }
            return(0, returndatasize())
        }
    }

    receive() external payable {}
}
