// Unmodified viem, the way its documentation uses it.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import {
  BaseError,
  ContractFunctionRevertedError,
  createPublicClient,
  createWalletClient,
  defineChain,
  getContract,
  http,
  nonceManager,
  parseAbiItem,
  parseEther,
  webSocket,
} from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { call, collector, eventually, keys, rpc, token, ws } from "./env.mjs";

const timeout = 60_000;
const { abi, bytecode } = token;

describe("viem", { timeout }, () => {
  let chain, clients, wallet, owner, address;

  const random = () => privateKeyToAccount(generatePrivateKey());
  const walletAt = (node, account) => createWalletClient({ account, chain, transport: http(rpc[node % rpc.length]) });

  // write sends a transaction of the owner and waits for its receipt.
  async function write(functionName, args) {
    const hash = await wallet.writeContract({ address, abi, functionName, args });
    const receipt = await clients[0].waitForTransactionReceipt({ hash });
    assert.equal(receipt.status, "success");
    return receipt;
  }

  before(async () => {
    chain = defineChain({
      id: Number(await call(rpc[0], "eth_chainId")),
      name: "Coco",
      nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
      rpcUrls: { default: { http: rpc, webSocket: ws } },
    });
    clients = rpc.map((url) => createPublicClient({ chain, transport: http(url), pollingInterval: 50, cacheTime: 0 }));
    owner = privateKeyToAccount(keys[1], { nonceManager });
    wallet = walletAt(0, owner);
    const hash = await wallet.deployContract({ abi, bytecode, args: ["Viem Token", "VIEM", 1_000_000n] });
    const receipt = await clients[0].waitForTransactionReceipt({ hash });
    assert.equal(receipt.status, "success");
    address = receipt.contractAddress;
    for (const client of clients) await eventually(() => client.getCode({ address }), "the code");
  });

  test("a contract is read on every node", async () => {
    for (const client of clients) {
      const contract = getContract({ address, abi, client });
      assert.equal(await contract.read.name(), "Viem Token");
      assert.equal((await contract.read.owner()).toLowerCase(), owner.address.toLowerCase());
    }
  });

  test("what is simulated can be written, and its events are in the receipt", async () => {
    const to = random().address;
    const { request, result } = await clients[0].simulateContract({ account: owner, address, abi, functionName: "transfer", args: [to, 7n] });
    assert.equal(result, true);
    const hash = await wallet.writeContract(request);
    const receipt = await clients.at(-1).waitForTransactionReceipt({ hash });
    assert.equal(receipt.logs.length, 1);
    assert.equal(receipt.effectiveGasPrice, 0n);
    const events = await clients.at(-1).getContractEvents({ address, abi, eventName: "Transfer", args: { to }, fromBlock: receipt.blockNumber });
    assert.deepEqual(events.map((event) => event.args.value), [7n]);
    const event = parseAbiItem("event Transfer(address indexed from, address indexed to, uint256 value)");
    const logs = await clients[0].getLogs({ event, args: { to }, fromBlock: 0n, toBlock: "latest" });
    assert.equal(logs.length, 1);
  });

  test("events are watched over WebSocket and by polling", async () => {
    const to = random().address;
    const sources = [...ws.map((url) => createPublicClient({ chain, transport: webSocket(url) })), clients[0]];
    const watched = sources.map((client) => {
      const values = collector();
      const stop = client.watchContractEvent({
        address,
        abi,
        eventName: "Transfer",
        args: { to },
        onLogs: (logs) => logs.forEach((log) => values.push(log.args.value)),
        onError: (error) => values.push(error),
      });
      return { client, values, stop };
    });
    let minted = 0n; // watching begins some time after this: go on until everyone sees something
    await eventually(async () => (await write("mint", [to, (minted += 1n)]), watched.every(({ values }) => values.length > 0)), "events");
    await write("mint", [to, (minted += 1n)]);
    for (const { values, stop } of watched) {
      const seen = await eventually(async () => {
        const all = await values.take(values.length);
        return all.at(-1) === minted && all;
      }, "the last event");
      assert.deepEqual(seen, seen.map((_, i) => seen[0] + BigInt(i)));
      stop();
    }
    for (const { client } of watched.slice(0, -1)) (await client.transport.getRpcClient()).close();
  });

  test("blocks are watched over WebSocket", async () => {
    const client = createPublicClient({ chain, transport: webSocket(ws[0]) });
    const blocks = collector();
    const stop = client.watchBlocks({ onBlock: (block) => blocks.push(block), onError: (error) => blocks.push(error) });
    await client.getChainId();
    const receipt = await write("mint", [random().address, 1n]);
    const block = await eventually(
      async () => (await blocks.take(1), (await blocks.take(blocks.length)).find((b) => b.number === receipt.blockNumber)),
      "the block",
    );
    assert.equal(block.hash, receipt.blockHash);
    stop();
    (await client.transport.getRpcClient()).close();
  });

  test("reverts are decoded: custom error, reason in words, panic", async () => {
    const poor = random();
    const refused = async (request) => {
      try {
        await clients[0].simulateContract({ address, abi, ...request });
      } catch (error) {
        assert.ok(error instanceof BaseError);
        const reverted = error.walk((cause) => cause instanceof ContractFunctionRevertedError);
        assert.ok(reverted, error.message);
        return reverted;
      }
      assert.fail("accepted");
    };
    const custom = await refused({ account: poor, functionName: "transfer", args: [owner.address, 3n] });
    assert.equal(custom.data.errorName, "ERC20InsufficientBalance");
    assert.deepEqual(custom.data.args, [poor.address, 0n, 3n]);
    const denied = await refused({ account: poor, functionName: "mint", args: [poor.address, 3n] });
    assert.equal(denied.data.errorName, "OwnableUnauthorizedAccount");
    const words = await refused({ account: owner, functionName: "mint", args: [poor.address, 0n] });
    assert.equal(words.reason, "Token: nothing to mint");
    const panic = await refused({ account: owner, functionName: "mint", args: [poor.address, 2n ** 256n - 1n] });
    assert.equal(panic.data.errorName, "Panic");
  });

  test("calls go as JSON-RPC batches", async () => {
    let requests = 0;
    const transport = http(rpc[0], { batch: { batchSize: 100, wait: 20 }, onFetchRequest: () => void (requests += 1) });
    const client = createPublicClient({ chain, transport, cacheTime: 0 });
    const supplies = await Promise.all(
      Array.from({ length: 100 }, () => client.readContract({ address, abi, functionName: "balanceOf", args: [address] })),
    );
    assert.ok(supplies.every((supply) => supply === 0n));
    assert.ok(requests <= 2, `${requests} requests`);
  });

  test("senders on all nodes send at once", async () => {
    const to = random().address;
    const each = 8;
    const senders = rpc.map((_, node) => walletAt(node, privateKeyToAccount(generatePrivateKey(), { nonceManager })));
    for (const sender of senders) await write("mint", [sender.account.address, 100n]);
    for (const client of clients) {
      for (const { account } of senders) {
        const args = [account.address];
        await eventually(async () => (await client.readContract({ address, abi, functionName: "balanceOf", args })) > 0n, "the tokens");
      }
    }
    const hashes = await Promise.all(
      senders.flatMap((sender) =>
        Array.from({ length: each }, () => sender.writeContract({ address, abi, functionName: "transfer", args: [to, 1n], gas: 100_000n })),
      ),
    );
    for (const [i, hash] of hashes.entries()) {
      const receipt = await clients[i % clients.length].waitForTransactionReceipt({ hash });
      assert.equal(receipt.status, "success");
    }
    for (const client of clients) {
      const want = BigInt(hashes.length);
      await eventually(async () => (await client.readContract({ address, abi, functionName: "balanceOf", args: [to] })) === want, "the sum");
    }
  });

  test("confirmations come without traffic", async () => {
    const hash = await wallet.sendTransaction({ to: random().address, value: 1n });
    const receipt = await clients[0].waitForTransactionReceipt({ hash, confirmations: 3 });
    assert.equal(receipt.status, "success");
    assert.ok((await clients[0].getBlockNumber({ cacheTime: 0 })) >= receipt.blockNumber + 2n);
  });

  test("fees, history and estimates suit a free network", async () => {
    assert.equal(await clients[0].getGasPrice(), 0n);
    const fees = await clients[0].estimateFeesPerGas();
    assert.equal(fees.maxFeePerGas, 0n);
    const history = await clients[0].getFeeHistory({ blockCount: 3, rewardPercentiles: [10, 90] });
    assert.equal(history.baseFeePerGas.length, history.gasUsedRatio.length + 1);
    assert.equal(await clients[0].estimateGas({ account: owner, to: random().address, value: 1n }), 21_000n);
    const gas = await clients[0].estimateContractGas({ account: owner, address, abi, functionName: "transfer", args: [random().address, 1n] });
    assert.ok(gas > 21_000n && gas < 100_000n, `estimate ${gas}`);
  });

  test("calls are simulated in blocks, and nothing is left of them", async () => {
    const to = random().address;
    const [block] = await clients[0].simulateBlocks({
      blocks: [
        {
          calls: [
            { account: owner.address, to: address, abi, functionName: "transfer", args: [to, 5n] },
            { account: owner.address, to: address, abi, functionName: "balanceOf", args: [to] },
          ],
        },
      ],
    });
    assert.equal(block.calls[0].status, "success");
    assert.equal(block.calls[1].result, 5n);
    assert.equal(await clients[0].readContract({ address, abi, functionName: "balanceOf", args: [to] }), 0n);
    const simulated = await clients[0].simulateCalls({ account: owner.address, calls: [{ to: random().address, value: 1n }] });
    assert.equal(simulated.results[0].status, "success");
  });

  test("an access list, and a proof of the state that a header carries", async () => {
    const call = { account: owner.address, to: address, data: "0x18160ddd" };
    const { accessList, gasUsed } = await clients[0].createAccessList(call);
    assert.ok(accessList.length > 0 && gasUsed > 21_000n);
    await write("mint", [random().address, 1n]);
    const number = await eventually(async () => {
      const block = await clients[0].getBlock();
      const of = BigInt(block.extraData === "0x" ? 0 : block.extraData);
      if (of > 0n) return of;
      await write("mint", [random().address, 1n]);
    }, "a root of a new block");
    const proof = await clients[0].getProof({ address, storageKeys: [`0x${"0".repeat(64)}`], blockNumber: number });
    assert.ok(proof.accountProof.length > 0);
    assert.equal(proof.storageProof.length, 1);
  });

  test("pending transactions are watched", async () => {
    const seen = collector();
    const stop = clients[0].watchPendingTransactions({ onTransactions: (hashes) => hashes.forEach(seen.push), poll: true, pollingInterval: 50 });
    try {
      await eventually(async () => {
        await wallet.sendTransaction({ to: random().address, value: 1n });
        return seen.length > 0;
      }, "a pending transaction");
    } finally {
      stop();
    }
  });

  test("a block is final at once", async () => {
    const receipt = await write("mint", [random().address, 1n]);
    for (const blockTag of ["latest", "safe", "finalized"]) {
      const block = await clients[0].getBlock({ blockTag });
      assert.ok(block.number >= receipt.blockNumber, `${blockTag} is ${block.number}, expected ${receipt.blockNumber} or more`);
    }
    const [count, transaction] = await Promise.all([
      clients[0].getBlockTransactionCount({ blockHash: receipt.blockHash }),
      clients[0].getTransaction({ blockHash: receipt.blockHash, index: receipt.transactionIndex }),
    ]);
    assert.ok(count > receipt.transactionIndex);
    assert.equal(transaction.hash, receipt.transactionHash);
    assert.equal(await clients[0].getTransactionConfirmations({ hash: receipt.transactionHash }) >= 1n, true);
  });

  test("ether moves between accounts", async () => {
    const to = random();
    const hash = await wallet.sendTransaction({ to: to.address, value: parseEther("0.5") });
    await clients[0].waitForTransactionReceipt({ hash });
    assert.equal(await clients[0].getBalance({ address: to.address }), parseEther("0.5"));
    const back = await walletAt(0, to).sendTransaction({ to: owner.address, value: parseEther("0.5") });
    await clients[0].waitForTransactionReceipt({ hash: back });
    assert.equal(await clients[0].getBalance({ address: to.address }), 0n);
  });
});
