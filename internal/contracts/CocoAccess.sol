// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @notice ERC-165.
interface IERC165 {
    function supportsInterface(bytes4 id) external view returns (bool);
}

/// @title CocoAccess
/// @notice By these methods a contract decides who sees what of it in a closed Coco network (docs/access.md). viewers are the addresses that
/// are linked to whoever asks. Each method has 1,000,000 gas; nothing that it writes stays, and anything but true is a no.
interface CocoAccess is IERC165 {
    /// @notice May they call the contract with this data? It is empty if the call comes from another contract, which may send any data.
    function mayCall(address[] calldata viewers, bytes calldata data) external view returns (bool);

    /// @notice May they read its storage and its balance?
    function mayReadState(address[] calldata viewers) external view returns (bool);

    /// @notice May they read its code?
    function mayReadCode(address[] calldata viewers) external view returns (bool);

    /// @notice May they see this event, of a transaction of sender?
    function maySeeEvent(address[] calldata viewers, address sender, bytes32[] calldata topics, bytes calldata data) external view returns (bool);

    /// @notice May they see a transaction of sender that calls the contract with this data, and its receipt?
    function maySeeReceipt(address[] calldata viewers, address sender, bytes calldata data) external view returns (bool);
}
