const { expect } = require("chai");
const { ethers } = require("hardhat");
const { loadFixture, mine, time, impersonateAccount, setBalance } = require("@nomicfoundation/hardhat-network-helpers");

// OpenZeppelin's contracts as a project uses them.
describe("contracts of OpenZeppelin", () => {
  async function company() {
    const [alice, bob, carol] = await ethers.getSigners();
    const shares = await ethers.deployContract("Share");
    const board = await ethers.deployContract("Board", [await shares.getAddress()]);
    await shares.transfer(bob, 400n);
    return { alice, bob, carol, shares, board };
  }

  it("ERC-20: transfers, allowances, and refusals with the contract's errors", async () => {
    const { alice, bob, carol, shares } = await loadFixture(company);
    await expect(shares.transfer(carol, 10n)).to.changeTokenBalances(shares, [alice, carol], [-10n, 10n]);
    await expect(shares.connect(carol).transfer(bob, 11n)).to.be.revertedWithCustomError(shares, "ERC20InsufficientBalance").withArgs(carol, 10n, 11n);
    await expect(shares.transferFrom(bob, alice, 1n)).to.be.revertedWithCustomError(shares, "ERC20InsufficientAllowance").withArgs(alice, 0n, 1n);
    await expect(shares.connect(bob).approve(alice, 5n)).to.emit(shares, "Approval").withArgs(bob, alice, 5n);
    await expect(shares.transferFrom(bob, alice, 5n)).to.emit(shares, "Transfer").withArgs(bob, alice, 5n);
    await expect(shares.transfer(ethers.ZeroAddress, 1n)).to.be.revertedWithCustomError(shares, "ERC20InvalidReceiver").withArgs(ethers.ZeroAddress);
  });

  it("ERC-20: a permit that the node signs counts once, and until its time", async () => {
    const { alice, bob, carol, shares } = await loadFixture(company);
    const domain = { name: "Share", version: "1", chainId: 31337, verifyingContract: await shares.getAddress() };
    const types = { Permit: ["owner address", "spender address", "value uint256", "nonce uint256", "deadline uint256"].map((m) => ({ name: m.split(" ")[0], type: m.split(" ")[1] })) };
    const sign = async (nonce, deadline) => {
      const text = await bob.signTypedData(domain, types, { owner: bob.address, spender: alice.address, value: 7n, nonce, deadline });
      const { v, r, s } = ethers.Signature.from(text);
      return [bob, alice, 7n, deadline, v, r, s];
    };
    const deadline = (await time.latest()) + 1000;
    const permit = await sign(0n, deadline);
    await shares.connect(carol).permit(...permit);
    expect(await shares.allowance(bob, alice)).to.equal(7n);
    await expect(shares.permit(...permit)).to.be.revertedWithCustomError(shares, "ERC2612InvalidSigner");
    const late = await sign(1n, deadline);
    await time.increaseTo(deadline + 1);
    await expect(shares.permit(...late)).to.be.revertedWithCustomError(shares, "ERC2612ExpiredSignature").withArgs(deadline);
  });

  it("ERC-20: votes are those of a block, also of one long ago", async () => {
    const { alice, bob, shares } = await loadFixture(company);
    await shares.delegate(alice);
    const before = await time.latestBlock();
    await shares.transfer(bob, 100n);
    await mine(300);
    expect(await shares.getPastVotes(alice, before)).to.equal(600n);
    expect(await shares.getVotes(alice)).to.equal(500n);
    expect(await shares.balanceOf(alice, { blockTag: before })).to.equal(600n);
    await expect(shares.getPastVotes(alice, (await time.latestBlock()) + 1)).to.be.revertedWithCustomError(shares, "ERC5805FutureLookup");
  });

  it("ERC-721: only a receiver that knows tokens gets one", async () => {
    const { alice, bob, shares } = await loadFixture(company);
    const deeds = await ethers.deployContract("Deed");
    await deeds.mint(alice, 1n);
    await expect(deeds.mint(shares, 2n)).to.be.revertedWithCustomError(deeds, "ERC721InvalidReceiver");
    await expect(deeds.connect(bob).transferFrom(alice, bob, 1n)).to.be.revertedWithCustomError(deeds, "ERC721InsufficientApproval").withArgs(bob, 1n);
    await deeds.approve(bob, 1n);
    await expect(deeds.connect(bob)["safeTransferFrom(address,address,uint256)"](alice, bob, 1n)).to.emit(deeds, "Transfer").withArgs(alice, bob, 1n);
    expect(await deeds.ownerOf(1n)).to.equal(bob.address);
  });

  it("ERC-1155: batches move together", async () => {
    const { alice, bob } = await loadFixture(company);
    const parts = await ethers.deployContract("Parts");
    await parts.mint(alice, [1n, 2n], [10n, 20n]);
    await expect(parts.safeBatchTransferFrom(alice, bob, [1n, 2n], [4n, 5n], "0x")).to.emit(parts, "TransferBatch").withArgs(alice, alice, bob, [1n, 2n], [4n, 5n]);
    expect(await parts.balanceOfBatch([alice, bob], [1n, 2n])).to.deep.equal([6n, 5n]);
    await expect(parts.safeBatchTransferFrom(alice, bob, [1n, 2n], [4n, 50n], "0x")).to.be.revertedWithCustomError(parts, "ERC1155InsufficientBalance").withArgs(alice, 15n, 50n, 2n);
  });

  it("Governor: a proposal passes its delay and its period, and is executed once", async () => {
    const { alice, bob, carol, shares, board } = await loadFixture(company);
    await shares.delegate(alice);
    await shares.connect(bob).delegate(bob);
    await shares.give(board);
    const call = shares.interface.encodeFunctionData("mint", [carol.address, 42n]);
    const proposal = [[await shares.getAddress()], [0n], [call]];
    const id = await board.hashProposal(...proposal, ethers.id("mint"));
    await board.propose(...proposal, "mint");
    await expect(board.castVote(id, 1)).to.be.revertedWithCustomError(board, "GovernorUnexpectedProposalState");
    await mine(6);
    await expect(board.castVote(id, 1)).to.emit(board, "VoteCast").withArgs(alice, id, 1, 600n, "");
    await board.connect(bob).castVote(id, 0);
    await expect(board.castVote(id, 1)).to.be.revertedWithCustomError(board, "GovernorAlreadyCastVote").withArgs(alice);
    await mine(100);
    expect(await board.state(id)).to.equal(4n);
    await expect(board.execute(...proposal, ethers.id("mint"))).to.changeTokenBalance(shares, carol, 42n);
    await expect(board.execute(...proposal, ethers.id("mint"))).to.be.revertedWithCustomError(board, "GovernorUnexpectedProposalState");
  });

  it("Governor: what only it may do, it does when it is impersonated", async () => {
    const { carol, shares, board } = await loadFixture(company);
    await shares.give(board);
    await expect(shares.mint(carol, 1n)).to.be.revertedWith("not the owner");
    await impersonateAccount(await board.getAddress());
    await setBalance(await board.getAddress(), ethers.parseEther("1"));
    await shares.connect(await ethers.getSigner(await board.getAddress())).mint(carol, 1n);
    expect(await shares.balanceOf(carol)).to.equal(1n);
  });
});
