// SPDX-License-Identifier: MIT OR Apache-2.0
// Contracts of the host's tests. Tests.json holds what solc 0.8 (optimizer on) makes of them.
pragma solidity ^0.8.20;

/// @notice The smallest ERC-20 that can be deposited.
contract Token {
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    function mint(address to, uint256 value) external {
        balanceOf[to] += value;
        emit Transfer(address(0), to, value);
    }

    function approve(address spender, uint256 value) external returns (bool) {
        allowance[msg.sender][spender] = value;
        emit Approval(msg.sender, spender, value);
        return true;
    }

    function transfer(address to, uint256 value) external returns (bool) {
        balanceOf[msg.sender] -= value;
        balanceOf[to] += value;
        emit Transfer(msg.sender, to, value);
        return true;
    }

    function transferFrom(address from, address to, uint256 value) external returns (bool) {
        allowance[from][msg.sender] -= value;
        balanceOf[from] -= value;
        balanceOf[to] += value;
        emit Transfer(from, to, value);
        return true;
    }
}

/// @notice A gateway with a function of every role.
contract App {
    mapping(address => uint256) public locked;
    uint256 public contests;
    uint256 public pokes;
    address public last;
    bool public closed;

    event Deposited(address indexed from, address indexed to, uint256 value);

    error Closed();

    function deposit(address to) external payable {
        if (closed) revert Closed();
        locked[to] += msg.value;
        emit Deposited(msg.sender, to, msg.value);
    }

    function depositToken(Token token, uint256 value) external {
        if (closed) revert Closed();
        token.transferFrom(msg.sender, address(this), value);
        locked[msg.sender] += value;
    }

    function close(bool now_) external {
        closed = now_;
    }

    function withdraw(uint256 value) external {
        locked[msg.sender] -= value;
        (bool ok, ) = msg.sender.call{value: value}("");
        require(ok);
    }

    function contest(uint256 batch) external {
        contests += batch;
        last = msg.sender;
    }

    function poke(uint256 times) external {
        pokes += times;
        last = msg.sender;
    }
}
