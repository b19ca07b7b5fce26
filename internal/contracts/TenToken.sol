// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import "./Token.sol";

/// @notice The interface by which contracts of the TEN network state who sees their events.
interface ContractTransparencyConfig {
    enum Field {
        TOPIC1,
        TOPIC2,
        TOPIC3,
        SENDER,
        EVERYONE
    }

    enum ContractCfg {
        TRANSPARENT,
        PRIVATE
    }

    struct EventLogConfig {
        uint256 eventSignature;
        Field[] visibleTo;
    }

    struct VisibilityConfig {
        ContractCfg contractCfg;
        EventLogConfig[] eventLogConfigs;
    }

    function visibilityRules() external pure returns (VisibilityConfig memory);
}

/// @title TenToken
/// @notice A token whose transfers their two parties see. It is written for TEN, and runs in a closed Coco network unchanged.
contract TenToken is Token, ContractTransparencyConfig {
    constructor(uint256 supply) Token("TEN token", "TEN", supply) {}

    function visibilityRules() external pure override returns (VisibilityConfig memory) {
        EventLogConfig[] memory configs = new EventLogConfig[](2);
        Field[] memory parties = new Field[](2);
        parties[0] = Field.TOPIC1;
        parties[1] = Field.TOPIC2;
        configs[0] = EventLogConfig(uint256(Transfer.selector), parties);
        Field[] memory all = new Field[](1);
        all[0] = Field.EVERYONE;
        configs[1] = EventLogConfig(uint256(OwnershipTransferred.selector), all);
        return VisibilityConfig(ContractCfg.PRIVATE, configs);
    }
}
