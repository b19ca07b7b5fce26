// Unmodified ethers v6, the way its documentation uses it.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Contract, ContractFactory, JsonRpcProvider, NonceManager, Wallet, WebSocketProvider, parseEther } from "ethers";
import { collector, eventually, keys, rpc, token, ws } from "./env.mjs";

const timeout = 60_000;

describe("ethers", { timeout }, () => {
  let providers, owner, contract, tokenAddress;

  // fresh returns a new wallet, with ether if it is to have some, connected to a node.
  async function fresh(node = 0, ether = "1") {
    const wallet = Wallet.createRandom().connect(providers[node]);
    const tx = await owner.sendTransaction({ to: wallet.address, value: parseEther(ether) });
    await tx.wait();
    await eventually(async () => (await providers[node].getBalance(wallet.address)) > 0n, "the balance");
    return wallet;
  }

  const at = (runner) => new Contract(tokenAddress, token.abi, runner);

  before(async () => {
    providers = rpc.map((url) => new JsonRpcProvider(url, undefined, { pollingInterval: 50, cacheTimeout: -1 }));
    owner = new NonceManager(new Wallet(keys[0], providers[0]));
    const factory = new ContractFactory(token.abi, token.bytecode, owner);
    contract = await factory.deploy("Coco Token", "COCO", 1_000_000n);
    await contract.waitForDeployment();
    tokenAddress = await contract.getAddress();
  });

  after(() => providers?.forEach((provider) => provider.destroy()));

  test("every node tells the same chain id and follows the same blocks", async () => {
    const networks = await Promise.all(providers.map((provider) => provider.getNetwork()));
    for (const network of networks) assert.equal(network.chainId, networks[0].chainId);
    const number = await providers[0].getBlockNumber();
    const block = await providers[0].getBlock(number, true);
    assert.equal(block.prefetchedTransactions.length, block.length);
    for (const provider of providers) {
      const same = await eventually(() => provider.getBlock(number), "the block");
      assert.equal(same.hash, block.hash);
    }
    const parent = await providers[1 % providers.length].getBlock(block.parentHash);
    assert.equal(parent.number, number - 1);
    assert.ok(parent.timestamp <= block.timestamp);
  });

  test("a deployed contract answers calls on every node", async () => {
    assert.equal(await providers[0].getCode(tokenAddress), token.deployedBytecode);
    for (const provider of providers) {
      await eventually(async () => (await provider.getCode(tokenAddress)) !== "0x", "the code");
      assert.equal(await at(provider).name(), "Coco Token");
      assert.equal(await at(provider).symbol(), "COCO");
      assert.equal(await at(provider).decimals(), 18n);
      assert.ok((await at(provider).totalSupply()) >= 1_000_000n);
    }
  });

  test("the reply to a transaction means that it is committed", async () => {
    const tx = await contract.transfer(Wallet.createRandom().address, 1n);
    const receipt = await providers[0].getTransactionReceipt(tx.hash);
    assert.equal(receipt?.status, 1);
    const other = await providers.at(-1).waitForTransaction(tx.hash, 1, 10_000);
    assert.equal(other.blockHash, receipt.blockHash);
    assert.equal(other.index, receipt.index);
  });

  test("transactions of every type are accepted and pay nothing for gas", async () => {
    const wallet = await fresh(0, "1");
    const to = Wallet.createRandom().address;
    for (const type of [0, 1, 2]) {
      const tx = await wallet.sendTransaction({ to, value: 5n, type, ...(type === 1 ? { accessList: [{ address: to, storageKeys: [] }] } : {}) });
      const receipt = await tx.wait();
      assert.equal(receipt.status, 1);
      assert.equal(receipt.type, type);
      assert.equal(receipt.fee, 0n);
      assert.equal((await providers[0].getTransaction(tx.hash)).type, type);
    }
    assert.equal(await providers[0].getBalance(to), 15n);
    assert.equal(await providers[0].getBalance(wallet.address), parseEther("1") - 15n);
    assert.equal(await providers[0].getTransactionCount(wallet.address), 3);
  });

  test("a payment with a used nonce is an error, not a second success", async () => {
    const wallet = await fresh();
    const to = Wallet.createRandom().address;
    const hasty = wallet.connect(new JsonRpcProvider(rpc[0])); // shares equal requests within 250 ms, the nonce's among them
    const told = [];
    for (let i = 0; i < 3; i++) {
      await hasty.sendTransaction({ to, value: 5n }).then((tx) => told.push(tx.hash), (error) => assert.equal(error.code, "NONCE_EXPIRED"));
    }
    assert.equal(new Set(told).size, told.length);
    assert.equal(await providers[0].getBalance(to), 5n * BigInt(told.length));
    hasty.provider.destroy();
    const raw = await wallet.signTransaction(await wallet.populateTransaction({ to, value: 5n }));
    const { hash } = await providers[0].broadcastTransaction(raw);
    await assert.rejects(providers[0].broadcastTransaction(raw), { code: "NONCE_EXPIRED" });
    assert.equal(await providers[0].send("coco_sendRawTransaction", [raw]), hash);
    for (const provider of providers) {
      await eventually(() => provider.getTransactionReceipt(hash), "the receipt");
      await assert.rejects(provider.broadcastTransaction(raw), { code: "NONCE_EXPIRED" });
    }
  });

  test("estimates meet the next block, and the time that it is now", async () => {
    const wallet = await fresh();
    const deploy = async (runtime) => {
      const creation = `0x61${(runtime.length / 2).toString(16).padStart(4, "0")}80600a5f395ff3${runtime}`;
      const made = await new ContractFactory([], creation, wallet).deploy();
      return (await made.waitForDeployment()).getAddress();
    };
    const lock = await deploy("5f354210600b57425f55005b5f5ffd"); // reverts before the time that its input says
    const opens = (await providers[0].getBlock("latest")).timestamp + 3;
    const data = `0x${opens.toString(16).padStart(64, "0")}`;
    await assert.rejects(wallet.estimateGas({ to: lock, data }), { code: "CALL_EXCEPTION" });
    await new Promise((resolve) => setTimeout(resolve, 4500));
    await (await wallet.sendTransaction({ to: lock, data })).wait();
    const checkpoints = await deploy("5f544314600f57435f5560014355005b00"); // writes more in a new block
    for (let i = 0; i < 4; i++) assert.equal((await (await wallet.sendTransaction({ to: checkpoints })).wait()).status, 1);
  });

  test("confirmations come without traffic", async () => {
    const wallet = await fresh();
    const tx = await wallet.sendTransaction({ to: wallet.address });
    assert.equal((await tx.wait(2)).status, 1);
    const receipt = await tx.wait(5); // as Hardhat Ignition waits
    assert.ok((await receipt.confirmations()) >= 5);
  });

  test("an account without ether can send", async () => {
    const poor = Wallet.createRandom().connect(providers[0]);
    await (await contract.mint(poor.address, 10n)).wait();
    await (await at(poor).transfer(tokenAddress, 4n)).wait();
    assert.equal(await contract.balanceOf(poor.address), 6n);
  });

  test("events are found by filter", async () => {
    const to = Wallet.createRandom().address;
    const first = await (await contract.mint(to, 3n)).wait();
    const last = await (await contract.transfer(to, 4n)).wait();
    const found = await contract.queryFilter(contract.filters.Transfer(null, to), first.blockNumber, last.blockNumber);
    assert.deepEqual(found.map((event) => event.args.value), [3n, 4n]);
    assert.equal(found[0].transactionHash, first.hash);
    const whole = await contract.queryFilter("Transfer", last.blockNumber, last.blockNumber);
    assert.ok(whole.some((event) => event.transactionHash === last.hash));
    const logs = await providers[0].getLogs({ blockHash: last.blockHash, address: tokenAddress });
    assert.ok(logs.some((log) => log.transactionHash === last.hash && log.index === last.logs[0].index));
  });

  test("events arrive by polling", async () => {
    const to = Wallet.createRandom().address;
    const events = collector();
    await contract.on(contract.filters.Transfer(null, to), (event) => events.push(event.args.value));
    let minted = 0n; // the filter begins some time after this: go on until something is seen
    await eventually(async () => (await (await contract.mint(to, (minted += 1n))).wait(), events.length > 0), "an event");
    await (await contract.mint(to, (minted += 1n))).wait();
    const seen = await eventually(async () => {
      const values = await events.take(events.length);
      return values.at(-1) === minted && values;
    }, "the last event");
    assert.deepEqual(seen, seen.map((_, i) => seen[0] + BigInt(i)));
    await contract.removeAllListeners();
  });

  test("events and blocks arrive by subscription, from every node", async () => {
    const to = Wallet.createRandom().address;
    const sockets = ws.map((url) => new WebSocketProvider(url));
    try {
      const seen = [];
      for (const socket of sockets) {
        const events = collector();
        const blocks = collector();
        const subscribed = at(socket);
        await subscribed.on(subscribed.filters.Transfer(null, to), (event) => events.push(event.args.value));
        await socket.on("block", (number) => blocks.push(number));
        seen.push({ events, blocks });
      }
      await Promise.all(sockets.map((socket) => socket.send("eth_chainId", []))); // the subscriptions were sent before
      const receipts = [];
      for (const value of [1n, 2n, 3n]) receipts.push(await (await contract.mint(to, value)).wait());
      for (const { events, blocks } of seen) {
        assert.deepEqual(await events.take(3), [1n, 2n, 3n]);
        const numbers = await eventually(async () => {
          const all = await blocks.take(Math.max(3, blocks.length));
          return receipts.every((receipt) => all.includes(receipt.blockNumber)) && all;
        }, "the blocks");
        assert.deepEqual(numbers, numbers.toSorted((a, b) => a - b));
      }
    } finally {
      await Promise.all(sockets.map((socket) => socket.destroy()));
    }
  });

  test("pending transactions are told, over HTTP and WebSocket", async () => {
    const socket = new WebSocketProvider(ws[0]);
    try {
      for (const provider of [providers[0], socket]) {
        const seen = collector();
        await provider.on("pending", (hash) => seen.push(hash));
        await eventually(async () => {
          const tx = await owner.sendTransaction({ to: Wallet.createRandom().address, value: 1n });
          await tx.wait();
          return seen.length > 0;
        }, "a pending transaction");
        const [hash] = await seen.take(1);
        assert.equal((await eventually(() => providers[0].getTransaction(hash), "the transaction")).hash, hash);
        await provider.off("pending");
        await provider.getBlockNumber(); // behind what ends the subscription
      }
    } finally {
      await socket.destroy();
    }
  });

  test("a trace of a transaction is that of its calls", async () => {
    const to = Wallet.createRandom().address;
    const receipt = await (await contract.transfer(to, 1n)).wait();
    const trace = await providers[0].send("debug_traceTransaction", [receipt.hash, { tracer: "callTracer", tracerConfig: { withLog: true } }]);
    assert.equal(BigInt(trace.gasUsed), receipt.gasUsed);
    assert.equal(trace.to, tokenAddress.toLowerCase());
    assert.equal(trace.logs.length, receipt.logs.length);
    const block = await providers.at(-1).send("debug_traceBlockByNumber", [`0x${receipt.blockNumber.toString(16)}`, { tracer: "callTracer" }]);
    assert.ok(block.some((entry) => entry.txHash === receipt.hash));
  });

  test("a custom error comes back decoded, from a call and from an estimate", async () => {
    const poor = await fresh();
    const mine = at(poor);
    for (const attempt of [() => mine.transfer.staticCall(owner.getAddress(), 5n), () => mine.transfer.estimateGas(owner.getAddress(), 5n)]) {
      await assert.rejects(attempt, (error) => {
        assert.equal(error.code, "CALL_EXCEPTION");
        const revert = error.revert ?? mine.interface.parseError(error.data);
        assert.equal(revert.name, "ERC20InsufficientBalance");
        assert.deepEqual([...revert.args], [poor.address, 0n, 5n]);
        return true;
      });
    }
  });

  test("a reason in words comes back, and so does a panic", async () => {
    await assert.rejects(contract.mint.staticCall(tokenAddress, 0n), (error) => error.reason === "Token: nothing to mint");
    await assert.rejects(contract.mint.staticCall(tokenAddress, 2n ** 256n - 1n), (error) => {
      assert.equal(error.revert.name, "Panic");
      assert.equal(Number(error.revert.args[0]), 0x11); // arithmetic overflow
      return true;
    });
  });

  test("a transaction that reverts has a receipt that says so", async () => {
    const poor = await fresh();
    const tx = await at(poor).transfer(tokenAddress, 1n, { gasLimit: 100_000n });
    await assert.rejects(tx.wait(), (error) => error.code === "CALL_EXCEPTION" && error.receipt.status === 0);
    assert.equal(await providers[0].getTransactionCount(poor.address), 1);
  });

  test("many calls at once go as one batch", async () => {
    const provider = new JsonRpcProvider(rpc[0], undefined, { batchStallTime: 20, cacheTimeout: -1 });
    try {
      let batches = 0;
      provider.on("debug", (event) => (batches += event.action === "sendRpcPayload" && Array.isArray(event.payload) ? 1 : 0));
      const reading = at(provider);
      const wanted = await contract.balanceOf(await owner.getAddress());
      const balances = await Promise.all(Array.from({ length: 80 }, async () => reading.balanceOf(await owner.getAddress())));
      assert.equal(balances.length, 80);
      assert.ok(balances.every((balance) => balance === wanted));
      assert.ok(batches > 0 && batches < 10, `${batches} batches`);
    } finally {
      provider.destroy();
    }
  });

  test("many senders at once on all nodes lose nothing", async () => {
    const each = 10;
    const senders = await Promise.all(
      Array.from({ length: 3 * providers.length }, async (_, i) => {
        const wallet = Wallet.createRandom().connect(providers[i % providers.length]);
        await (await contract.mint(wallet.address, 1000n)).wait();
        return new NonceManager(wallet);
      }),
    );
    const to = Wallet.createRandom().address;
    const sent = await Promise.all(
      senders.flatMap((sender) => Array.from({ length: each }, () => at(sender).transfer(to, 1n, { gasLimit: 100_000n }))),
    );
    const receipts = await Promise.all(sent.map((tx) => tx.wait()));
    assert.ok(receipts.every((receipt) => receipt.status === 1));
    const places = new Set(receipts.map((receipt) => `${receipt.blockNumber}/${receipt.index}`));
    assert.equal(places.size, senders.length * each);
    for (const provider of providers) {
      await eventually(async () => (await at(provider).balanceOf(to)) === BigInt(senders.length * each), "the balance");
      for (const sender of senders) assert.equal(await provider.getTransactionCount(await sender.getAddress()), each);
    }
  });

  test("a transaction waits for the one with the nonce before it", async () => {
    // The reply to a transaction waits for its commit, and so does the whole batch that it is in:
    // a program that leaves gaps on purpose keeps other calls out of such batches.
    const provider = new JsonRpcProvider(rpc[0], (await providers[0].getNetwork()).chainId, { staticNetwork: true, batchMaxCount: 1 });
    const wallet = (await fresh()).connect(provider);
    const to = Wallet.createRandom().address;
    const second = wallet.sendTransaction({ to, value: 2n, nonce: 1, gasLimit: 21_000n });
    await new Promise((resolve) => setTimeout(resolve, 200)); // so that the second comes first; what follows holds in any case
    assert.equal(await providers[0].getBalance(to), 0n);
    const first = wallet.sendTransaction({ to, value: 1n, nonce: 0, gasLimit: 21_000n });
    const receipts = await Promise.all([(await first).wait(), (await second).wait()]);
    const place = ({ blockNumber, index }) => [blockNumber, index];
    assert.deepEqual([...receipts].sort((a, b) => a.blockNumber - b.blockNumber || a.index - b.index).map(place), receipts.map(place));
    assert.equal(await providers[0].getBalance(to), 3n);
    provider.destroy();
  });

  test("what cannot be executed is refused with the code that ethers knows", async () => {
    const wallet = await fresh(0, "1");
    const to = Wallet.createRandom().address;
    const plain = { to, value: 1n, gasLimit: 21_000n, maxFeePerGas: 0n, maxPriorityFeePerGas: 0n };
    await assert.rejects(wallet.sendTransaction({ ...plain, value: parseEther("2") }), (error) => error.code === "INSUFFICIENT_FUNDS");
    await (await wallet.sendTransaction({ ...plain, nonce: 0 })).wait();
    await assert.rejects(wallet.sendTransaction({ ...plain, value: 9n, nonce: 0 }), (error) => error.code === "NONCE_EXPIRED");
    const { chainId } = await providers[0].getNetwork();
    const foreign = await new Wallet(wallet.privateKey).signTransaction({ ...plain, nonce: 1, type: 2, chainId: chainId + 1n });
    await assert.rejects(providers[0].broadcastTransaction(foreign), /chain id/i);
    await assert.rejects(wallet.sendTransaction({ ...plain, gasLimit: 20_000n }), /intrinsic gas/);
    assert.equal(await providers[0].getTransactionCount(wallet.address), 1);
  });

  test("fees are free and known", async () => {
    const fees = await providers[0].getFeeData();
    assert.equal(fees.gasPrice, 0n);
    assert.ok(!fees.maxFeePerGas && !fees.maxPriorityFeePerGas); // ethers takes a base fee of 0 for none
    const history = await providers[0].send("eth_feeHistory", ["0x4", "latest", [25, 75]]);
    assert.equal(history.baseFeePerGas.length, history.gasUsedRatio.length + 1);
    assert.equal(history.reward.length, history.gasUsedRatio.length);
    const gas = await contract.transfer.estimateGas(Wallet.createRandom().address, 1n);
    assert.ok(gas > 21_000n && gas < 100_000n, `estimate ${gas}`);
    const tx = await contract.transfer(Wallet.createRandom().address, 1n, { gasLimit: gas });
    assert.equal((await tx.wait()).status, 1);
  });
});
