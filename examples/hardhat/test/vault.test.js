const { expect } = require("chai");
const { ethers, network } = require("hardhat");
const helpers = require("@nomicfoundation/hardhat-network-helpers");
const { loadFixture, time, mine, setBalance, setCode, setNonce, setStorageAt, impersonateAccount, stopImpersonatingAccount, takeSnapshot, getStorageAt, setCoinbase, setPrevRandao, dropTransaction, mineUpTo } = helpers;

describe("a vault", () => {
  async function vault() {
    const [owner, other] = await ethers.getSigners();
    const opens = (await time.latest()) + 3600;
    const contract = await ethers.deployContract("Vault", [opens], { value: 5n });
    return { owner, other, opens, contract };
  }

  it("begins with Hardhat's accounts and chain id", async () => {
    const signers = await ethers.getSigners();
    expect(signers.length).to.equal(20);
    expect(signers[19].address).to.equal("0x8626f6940E2eb28930eFb4CeF49B2d1F2C9C1199");
    expect((await ethers.provider.getNetwork()).chainId).to.equal(31337n);
    expect(await ethers.provider.getBalance(signers[19])).to.equal(ethers.parseEther("10000"));
  });

  for (const round of [1, 2, 3]) {
    it(`begins each test with the same chain, ${round}`, async () => {
      const { contract } = await loadFixture(vault);
      expect(await contract.count()).to.equal(0n);
      const number = await time.latestBlock();
      await contract.add();
      await contract.add();
      expect(await contract.count()).to.equal(2n);
      expect(await time.latestBlock()).to.equal(number + 2);
    });
  }

  it("refuses with the contract's own errors", async () => {
    const { contract, other } = await loadFixture(vault);
    await expect(contract.connect(other).withdraw()).to.be.revertedWithCustomError(contract, "NotOwner").withArgs(other.address);
    await expect(contract.withdraw()).to.be.revertedWith("closed");
    await expect(contract.take()).to.be.revertedWithPanic(0x11);
    await expect(contract.withdraw({ gasLimit: 100000 })).to.be.revertedWith("closed");
  });

  it("opens once time has passed", async () => {
    const { contract, owner, opens } = await loadFixture(vault);
    await time.increaseTo(opens);
    expect(await time.latest()).to.equal(opens);
    await expect(contract.withdraw()).to.emit(contract, "Withdrawn").withArgs(owner.address, 5n);
  });

  it("travels in time", async () => {
    await loadFixture(vault);
    const before = await time.latest();
    await time.increase(1000);
    expect(await time.latest()).to.equal(before + 1000);
    await time.setNextBlockTimestamp(before + 5000);
    await mine();
    expect(await time.latest()).to.equal(before + 5000);
    await mine(10, { interval: 60 });
    const number = await time.latestBlock();
    expect((await ethers.provider.getBlock(number)).timestamp - (await ethers.provider.getBlock(number - 9)).timestamp).to.equal(9 * 60);
    await mineUpTo(number + 300);
    expect(await time.latestBlock()).to.equal(number + 300);
    await expect(time.setNextBlockTimestamp(before)).to.be.rejectedWith("lower");
  });

  it("acts for others", async () => {
    const { contract, owner, other } = await loadFixture(vault);
    const contractAddress = await contract.getAddress();
    await expect(ethers.getSigner(contractAddress).then((s) => s.sendTransaction({ to: other, value: 1 }))).to.be.rejected;
    await impersonateAccount(contractAddress);
    await setBalance(contractAddress, 10n ** 18n);
    const signer = await ethers.getSigner(contractAddress);
    const sent = await signer.sendTransaction({ to: other, value: 7n });
    const receipt = await sent.wait();
    expect(receipt.from).to.equal(contractAddress);
    expect((await ethers.provider.getTransaction(sent.hash)).from).to.equal(contractAddress);
    expect(await ethers.provider.getBalance(contractAddress)).to.equal(10n ** 18n - 7n - receipt.fee);
    const trace = await network.provider.send("debug_traceTransaction", [sent.hash, { tracer: "callTracer" }]);
    expect(trace.from).to.equal(contractAddress.toLowerCase());
    await stopImpersonatingAccount(contractAddress);
    await expect(signer.sendTransaction({ to: other, value: 1 })).to.be.rejected;
  });

  it("changes accounts", async () => {
    const { contract, other } = await loadFixture(vault);
    await setStorageAt(await contract.getAddress(), 1, 41n);
    expect(await contract.count()).to.equal(41n);
    expect(BigInt(await getStorageAt(await contract.getAddress(), 1))).to.equal(41n);
    await contract.add();
    expect(await contract.count()).to.equal(42n);
    await setCode(other.address, "0x602a60005260206000f3");
    expect(await ethers.provider.call({ to: other.address })).to.equal("0x" + "2a".padStart(64, "0"));
    const fresh = ethers.Wallet.createRandom().address;
    await setNonce(fresh, 7);
    expect(await ethers.provider.getTransactionCount(fresh)).to.equal(7);
  });

  it("says what a block is made by", async () => {
    await loadFixture(vault);
    const address = ethers.Wallet.createRandom().address;
    await setCoinbase(address);
    await setPrevRandao(4711);
    await mine();
    const block = await network.provider.send("eth_getBlockByNumber", ["latest", false]);
    expect(block.miner).to.equal(address.toLowerCase());
    expect(BigInt(block.mixHash)).to.equal(4711n);
  });

  it("holds transactions back", async () => {
    const { contract, owner, other } = await loadFixture(vault);
    await network.provider.send("evm_setAutomine", [false]);
    try {
      const first = await owner.sendTransaction({ to: other, value: 1n, gasLimit: 21000 });
      const second = await owner.sendTransaction({ to: other, value: 2n, gasLimit: 21000 });
      const third = await contract.add({ gasLimit: 100000 });
      expect(await ethers.provider.getTransactionReceipt(first.hash)).to.equal(null);
      expect((await ethers.provider.getTransaction(second.hash)).blockNumber).to.equal(null);
      expect(await ethers.provider.getTransactionCount(owner, "pending")).to.equal((await ethers.provider.getTransactionCount(owner)) + 3);
      await dropTransaction(third.hash);
      await mine();
      const receipts = await Promise.all([first.wait(), second.wait()]);
      expect(receipts[0].blockNumber).to.equal(receipts[1].blockNumber);
      expect(receipts[1].index).to.equal(1);
      expect(await contract.count()).to.equal(0n);
    } finally {
      await network.provider.send("evm_setAutomine", [true]);
    }
  });

  it("takes back what subscribers and filters were told", async () => {
    const { contract } = await loadFixture(vault);
    const filter = await network.provider.send("eth_newBlockFilter", []);
    const snapshot = await takeSnapshot();
    const lost = await (await contract.add()).wait();
    await snapshot.restore();
    expect(await network.provider.send("eth_getTransactionReceipt", [lost.hash])).to.equal(null);
    expect(await network.provider.send("eth_getBlockByHash", [lost.blockHash, false])).to.equal(null);
    await mine();
    const block = await network.provider.send("eth_getBlockByNumber", ["latest", false]);
    expect(Number(block.number)).to.equal(lost.blockNumber);
    expect(block.hash).not.to.equal(lost.blockHash);
    expect(await network.provider.send("eth_getFilterChanges", [filter])).to.deep.equal([block.hash]);
  });

  it("signs", async () => {
    const [owner] = await ethers.getSigners();
    expect(ethers.verifyMessage("hello", await owner.signMessage("hello"))).to.equal(owner.address);
    const types = { Mail: [{ name: "text", type: "string" }] };
    const domain = { name: "Mail", version: "1", chainId: 31337 };
    expect(ethers.verifyTypedData(domain, types, { text: "hello" }, await owner.signTypedData(domain, types, { text: "hello" }))).to.equal(owner.address);
  });
});
