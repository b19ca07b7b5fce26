// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Vault} from "../src/Vault.sol";

interface Vm {
    function warp(uint256 timestamp) external;
    function expectRevert(bytes calldata reason) external;
    function prank(address sender) external;
    function createSelectFork(string calldata url) external returns (uint256);
    function rpc(string calldata method, string calldata params) external returns (bytes memory);
}

contract VaultTest {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    Vault private vault;

    receive() external payable {}

    function setUp() public {
        vm.createSelectFork("coco");
        vault = new Vault{value: 5}(block.timestamp + 3600);
    }

    function testOnlyTheOwnerWithdraws() public {
        vm.warp(block.timestamp + 3600);
        vm.prank(address(0xcc));
        vm.expectRevert(abi.encodeWithSelector(Vault.NotOwner.selector, address(0xcc)));
        vault.withdraw();
    }

    function testItOpensOnceTimeHasPassed() public {
        vm.expectRevert(abi.encodeWithSignature("Error(string)", "closed"));
        vault.withdraw();
        vm.warp(block.timestamp + 3600);
        vault.withdraw();
        require(address(vault).balance == 0, "not withdrawn");
    }

    function testTheForkIsTheNetwork() public view {
        require(block.chainid == 31337, "another chain");
        require(0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266.balance > 9000 ether, "not funded");
    }
}
