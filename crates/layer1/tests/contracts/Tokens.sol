// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

// Contracts of the tests of `Network::simulate`. `Tokens.json` holds their creation code, made once with the compiler that
// `solutions/payments/contract/package-lock.json` pins: in a copy of that folder `npm ci --ignore-scripts`, then
// `node node_modules/solc/solc.js --standard-json` with this file as `Tokens.sol`, optimizer on (200 runs), evmVersion
// "cancun", metadata { bytecodeHash: "none", appendCBOR: false }, output selection evm.bytecode.object.

/// An honest ERC-20.
contract Token {
    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    error TooLittle(uint256 has, uint256 needs);

    constructor(address owner) {
        balanceOf[owner] = 1000;
    }

    function transfer(address to, uint256 value) external returns (bool) {
        move(msg.sender, to, value);
        return true;
    }

    function approve(address spender, uint256 value) external returns (bool) {
        allowance[msg.sender][spender] = value;
        emit Approval(msg.sender, spender, value);
        return true;
    }

    function transferFrom(address from, address to, uint256 value) external returns (bool) {
        allowance[from][msg.sender] -= value;
        move(from, to, value);
        return true;
    }

    function move(address from, address to, uint256 value) private {
        if (balanceOf[from] < value) revert TooLittle(balanceOf[from], value);
        balanceOf[from] -= value;
        balanceOf[to] += value;
        emit Transfer(from, to, value);
    }
}

/// Moves and allows without a word, and says what did not happen.
contract Liar {
    event Transfer(address indexed from, address indexed to, uint256 value);

    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    constructor(address owner) {
        balanceOf[owner] = 1000;
    }

    /// Moves everything, silently.
    function transfer(address to, uint256) external returns (bool) {
        balanceOf[to] += balanceOf[msg.sender];
        balanceOf[msg.sender] = 0;
        return true;
    }

    /// Allows everything, silently.
    function approve(address spender, uint256) external returns (bool) {
        allowance[msg.sender][spender] = type(uint256).max;
        return true;
    }

    /// Promises a gift and gives nothing.
    function gift(address to) external {
        emit Transfer(address(this), to, 500);
    }

    /// For the trap below.
    function take(address from) external {
        balanceOf[msg.sender] += balanceOf[from];
        balanceOf[from] = 0;
    }
}

/// Takes a silent token from whoever calls, and passes the ether on.
contract Trap {
    Liar private immutable liar;
    address payable private immutable friend;

    constructor(Liar token, address payable to) {
        liar = token;
        friend = to;
    }

    function claim() external payable {
        liar.take(msg.sender);
        (bool sent, ) = friend.call{value: msg.value}("");
        require(sent, "the friend refuses");
    }
}

/// One of its kind (ERC-721, as far as it is needed).
contract Nft {
    event Transfer(address indexed from, address indexed to, uint256 indexed tokenId);
    event Approval(address indexed owner, address indexed approved, uint256 indexed tokenId);
    event ApprovalForAll(address indexed owner, address indexed operator, bool approved);

    mapping(uint256 => address) public ownerOf;
    mapping(uint256 => address) public getApproved;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => bool)) public isApprovedForAll;

    constructor(address owner) {
        ownerOf[7] = owner;
        balanceOf[owner] = 1;
    }

    function transferFrom(address from, address to, uint256 id) external {
        require(ownerOf[id] == from && msg.sender == from, "not yours");
        ownerOf[id] = to;
        balanceOf[from] -= 1;
        balanceOf[to] += 1;
        emit Transfer(from, to, id);
    }

    function approve(address to, uint256 id) external {
        getApproved[id] = to;
        emit Approval(msg.sender, to, id);
    }

    function setApprovalForAll(address operator, bool approved) external {
        isApprovedForAll[msg.sender][operator] = approved;
        emit ApprovalForAll(msg.sender, operator, approved);
    }
}

/// Several of a kind (ERC-1155, as far as it is needed).
contract Multi {
    event TransferSingle(address indexed operator, address indexed from, address indexed to, uint256 id, uint256 value);

    mapping(address => mapping(uint256 => uint256)) private balances;

    constructor(address owner) {
        balances[owner][3] = 50;
    }

    function balanceOf(address account, uint256 id) external view returns (uint256) {
        return balances[account][id];
    }

    function safeTransferFrom(address from, address to, uint256 id, uint256 value, bytes calldata) external {
        require(from == msg.sender, "not yours");
        balances[from][id] -= value;
        balances[to][id] += value;
        emit TransferSingle(msg.sender, from, to, id, value);
    }
}
