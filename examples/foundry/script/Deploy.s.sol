// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Vault} from "../src/Vault.sol";

interface Vm {
    function startBroadcast() external;
    function stopBroadcast() external;
}

/// forge script script/Deploy.s.sol --rpc-url coco --broadcast --unlocked --sender …
contract Deploy {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    function run() external returns (Vault vault) {
        vm.startBroadcast();
        vault = new Vault{value: 5}(block.timestamp + 3600);
        vault.add();
        vm.stopBroadcast();
    }
}
