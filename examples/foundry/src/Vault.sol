// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// A vault whose owner withdraws from a time on.
contract Vault {
    error NotOwner(address caller);

    address public owner = msg.sender;
    uint256 public immutable opens;
    uint256 public count;

    event Withdrawn(address indexed to, uint256 amount);

    constructor(uint256 at) payable {
        require(at > block.timestamp, "opens in the past");
        opens = at;
    }

    function withdraw() external {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        require(block.timestamp >= opens, "closed");
        uint256 amount = address(this).balance;
        emit Withdrawn(msg.sender, amount);
        payable(msg.sender).transfer(amount);
    }

    function add() external {
        count += 1;
    }

    function take() external {
        count -= 1;
    }
}
