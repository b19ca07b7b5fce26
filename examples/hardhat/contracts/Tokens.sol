// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit, Nonces} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC20Votes} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Votes.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {ERC1155} from "@openzeppelin/contracts/token/ERC1155/ERC1155.sol";
import {Governor} from "@openzeppelin/contracts/governance/Governor.sol";
import {GovernorCountingSimple} from "@openzeppelin/contracts/governance/extensions/GovernorCountingSimple.sol";
import {GovernorVotes, IVotes} from "@openzeppelin/contracts/governance/extensions/GovernorVotes.sol";

/// A token that counts as votes. Its owner is the governor, once it is told.
contract Share is ERC20, ERC20Permit, ERC20Votes {
    address public owner = msg.sender;

    constructor() ERC20("Share", "SHR") ERC20Permit("Share") {
        _mint(msg.sender, 1000);
    }

    function give(address to) external {
        require(msg.sender == owner, "not the owner");
        owner = to;
    }

    function mint(address to, uint256 amount) external {
        require(msg.sender == owner, "not the owner");
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 value) internal override(ERC20, ERC20Votes) {
        super._update(from, to, value);
    }

    function nonces(address holder) public view override(ERC20Permit, Nonces) returns (uint256) {
        return super.nonces(holder);
    }
}

contract Board is Governor, GovernorCountingSimple, GovernorVotes {
    constructor(IVotes shares) Governor("Board") GovernorVotes(shares) {}

    function votingDelay() public pure override returns (uint256) {
        return 5;
    }

    function votingPeriod() public pure override returns (uint256) {
        return 100;
    }

    function quorum(uint256) public pure override returns (uint256) {
        return 500;
    }
}

contract Deed is ERC721("Deed", "DEED") {
    function mint(address to, uint256 id) external {
        _safeMint(to, id);
    }
}

contract Parts is ERC1155("") {
    function mint(address to, uint256[] calldata ids, uint256[] calldata amounts) external {
        _mintBatch(to, ids, amounts, "");
    }
}
