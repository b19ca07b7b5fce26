// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import "./CocoAccess.sol";

/// @title Shipments
/// @notice Goods that pass from one party to the next. The parties of a shipment see it, and nobody else; an inspector sees all.
contract Shipments is CocoAccess {
    address public immutable inspector;
    mapping(uint256 shipment => address holder) private holders;
    mapping(uint256 shipment => mapping(address party => bool)) private parties;

    event Passed(uint256 indexed shipment, address indexed from, address indexed to, string what);

    error NotYours(uint256 shipment);

    constructor(address inspector_) {
        inspector = inspector_;
    }

    /// @notice Passes a shipment on; a new one is whose it is first.
    function pass(uint256 shipment, address to, string calldata what) external {
        address holder = holders[shipment];
        if (holder != address(0) && holder != msg.sender) revert NotYours(shipment);
        holders[shipment] = to;
        parties[shipment][msg.sender] = true;
        parties[shipment][to] = true;
        emit Passed(shipment, msg.sender, to, what);
    }

    /// @notice Who holds a shipment, for its parties.
    function holderOf(uint256 shipment) external view returns (address) {
        if (!parties[shipment][msg.sender] && msg.sender != inspector) revert NotYours(shipment);
        return holders[shipment];
    }

    function supportsInterface(bytes4 id) external pure returns (bool) {
        return id == type(IERC165).interfaceId || id == coco();
    }

    /// @notice The identifier of CocoAccess: the exclusive or of the selectors of its own methods.
    function coco() public pure returns (bytes4) {
        return type(CocoAccess).interfaceId;
    }

    function mayCall(address[] calldata viewers, bytes calldata data) external view returns (bool) {
        if (isInspector(viewers)) return true;
        if (data.length < 36) return false; // from another contract, or of no method here
        bytes4 method = bytes4(data);
        if (method == this.pass.selector) return true;
        return method == this.holderOf.selector && isParty(viewers, uint256(bytes32(data[4:36])));
    }

    function mayReadState(address[] calldata viewers) external view returns (bool) {
        return isInspector(viewers);
    }

    function mayReadCode(address[] calldata) external pure returns (bool) {
        return true;
    }

    function maySeeEvent(address[] calldata viewers, address, bytes32[] calldata topics, bytes calldata) external view returns (bool) {
        return isInspector(viewers) || (topics.length > 1 && isParty(viewers, uint256(topics[1])));
    }

    function maySeeReceipt(address[] calldata viewers, address, bytes calldata) external view returns (bool) {
        return isInspector(viewers);
    }

    function isInspector(address[] calldata viewers) private view returns (bool) {
        for (uint256 i = 0; i < viewers.length; i++) if (viewers[i] == inspector) return true;
        return false;
    }

    function isParty(address[] calldata viewers, uint256 shipment) private view returns (bool) {
        for (uint256 i = 0; i < viewers.length; i++) if (parties[shipment][viewers[i]]) return true;
        return false;
    }
}
