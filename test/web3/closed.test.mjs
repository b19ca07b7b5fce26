// Unmodified clients through the proxies of three members of a closed network (docs/access.md): each sees a world of its own.
//   COCO_PROXIES  URLs of the proxies of alpha, bravo and charlie, separated by commas; the accounts of COCO_KEYS are theirs in turn

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Contract, ContractFactory, JsonRpcProvider, Wallet, WebSocketProvider, parseEther } from "ethers";
import { TransactionNotFoundError, TransactionReceiptNotFoundError, createPublicClient, createWalletClient, defineChain, http, parseAbiItem } from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { call, collector, keys, rpc, shipments, tenToken } from "./env.mjs";

const proxies = (process.env.COCO_PROXIES ?? "").split(",");
const timeout = 60_000;
const [alpha, bravo, charlie] = [0, 1, 2];
const members = ["alpha", "bravo", "charlie"];
const noBloom = `0x${"0".repeat(512)}`;

// refused is whether a call of Coco's own failed because what was asked for does not count.
const refused = (error) => (error.error?.code ?? error.code) === -32602;

describe("a closed network, by ethers", { timeout }, () => {
  let providers, wallets;

  before(() => {
    providers = proxies.map((url) => new JsonRpcProvider(url, undefined, { pollingInterval: 50, cacheTimeout: -1 }));
    wallets = providers.map((provider, i) => new Wallet(keys[i], provider));
  });

  after(() => providers?.forEach((provider) => provider.destroy()));

  async function deploy(artefact, ...args) {
    const contract = await new ContractFactory(artefact.abi, artefact.bytecode, wallets[alpha]).deploy(...args);
    await contract.waitForDeployment();
    return { address: await contract.getAddress(), at: (member) => contract.connect(wallets[member]) };
  }

  test("members see different worlds on one contract", async () => {
    const { address, at } = await deploy(tenToken, 1000n);
    const receipts = [
      await (await at(alpha).transfer(wallets[bravo].address, 50n)).wait(),
      await (await at(alpha).transfer(wallets[charlie].address, 7n)).wait(),
      await (await at(bravo).transfer(wallets[charlie].address, 2n)).wait(),
    ];
    const sender = [alpha, alpha, bravo];
    const seen = [[50n, 7n], [50n, 2n], [7n, 2n]]; // the payments that each is a party of
    for (const [member, provider] of providers.entries()) {
      for (const [other, wallet] of wallets.entries()) {
        const balance = await provider.getBalance(wallet.address);
        assert.equal(balance > 0n, other === member, `${members[member]} is told ${balance} of ${members[other]}`);
        if (other !== member) assert.equal(await provider.getTransactionCount(wallet.address), 0);
      }
      for (const [i, { hash, blockNumber, blockHash }] of receipts.entries()) {
        const mine = sender[i] === member;
        const receipt = await provider.getTransactionReceipt(hash);
        assert.equal(receipt?.hash, mine ? hash : undefined, `receipt ${i} of ${members[member]}`);
        assert.equal((await provider.getTransaction(hash))?.hash, mine ? hash : undefined);
        if (mine) assert.equal(receipt.logs.length, 1);
        const block = await provider.getBlock(blockNumber, true);
        assert.equal(block.hash, blockHash); // the block is the same one,
        assert.deepEqual([...block.transactions], mine ? [hash] : []); // and what is in it is not
        assert.deepEqual(block.prefetchedTransactions.map((tx) => tx.hash), mine ? [hash] : []);
        const { logsBloom, gasUsed } = await provider.send("eth_getBlockByNumber", [`0x${blockNumber.toString(16)}`, false]);
        assert.equal(logsBloom, noBloom);
        assert.equal(BigInt(gasUsed), 0n);
        const told = await provider.getLogs({ blockHash, address });
        assert.equal(told.length, seen[member].includes([50n, 7n, 2n][i]) ? 1 : 0, `logs of block ${i} for ${members[member]}`);
        for (const log of told) assert.deepEqual([log.transactionIndex, log.index], [0, 0]);
      }
      const events = await at(member).queryFilter("Transfer", receipts[0].blockNumber);
      assert.deepEqual(events.map((event) => event.args.value), seen[member]);
      assert.equal(await at(member).balanceOf(wallets[bravo].address), 48n); // this token tells it to everybody
      assert.equal(await provider.getCode(address), "0x");
      assert.equal(BigInt(await provider.getStorage(address, 2)), 0n);
    }
    await assert.rejects(providers[bravo].call({ from: wallets[alpha].address, to: address }), ({ info }) => /none of the addresses that are linked to you/.test(info.error.message));
  });

  test("subscriptions of two members tell different events", async () => {
    const { address, at } = await deploy(tenToken, 1000n);
    const sockets = [alpha, bravo].map((member) => new WebSocketProvider(proxies[member].replace("http:", "ws:")));
    try {
      const told = sockets.map(() => collector());
      for (const [i, socket] of sockets.entries()) {
        await new Contract(address, tenToken.abi, socket).on("Transfer", (from, to, value) => told[i].push(value));
      }
      await Promise.all(sockets.map((socket) => socket.send("eth_chainId", []))); // the subscriptions were sent before
      await (await at(alpha).transfer(wallets[charlie].address, 7n)).wait();
      await (await at(alpha).transfer(wallets[bravo].address, 50n)).wait();
      assert.deepEqual(await told[alpha].take(2), [7n, 50n]);
      assert.deepEqual(await told[bravo].take(1), [50n]);
      assert.equal(told[bravo].length, 1);
    } finally {
      await Promise.all(sockets.map((socket) => socket.destroy()));
    }
  });

  test("signTypedData makes a link that the node takes, and an unlinking ends it", async () => {
    const wallet = Wallet.createRandom();
    await (await wallets[alpha].sendTransaction({ to: wallet.address, value: parseEther("1") })).wait();
    const provider = providers[bravo];
    const sees = async (i) => (await providers[i].getBalance(wallet.address)) > 0n;
    assert.equal(await sees(bravo), false);
    const { domain, types: { Link }, message } = await provider.send("coco_linkMessage", [wallet.address]);
    assert.equal(message.organisation, "bravo");
    const signature = await wallet.signTypedData(domain, { Link }, message);
    const changed = `0x${(signature[2] === "1" ? "2" : "1")}${signature.slice(3)}`;
    await assert.rejects(provider.send("coco_linkAddress", [message, changed]), refused);
    await assert.rejects(provider.send("coco_linkAddress", [{ ...message, expires: message.expires + 1 }, signature]), refused);
    await assert.rejects(providers[charlie].send("coco_linkAddress", [message, signature]), refused); // it names another organisation
    assert.equal(await sees(bravo), false);
    assert.match(await provider.send("coco_linkAddress", [message, signature]), /^\d+\.\d+$/);
    assert.deepEqual([await sees(alpha), await sees(bravo), await sees(charlie)], [false, true, false]);
    const linked = await provider.send("coco_linkedAddresses", []);
    assert.equal(linked.at(-1).address, wallet.address.toLowerCase());
    await assert.rejects(provider.send("coco_linkAddress", [message, signature]), refused); // once
    await assert.rejects(providers[charlie].send("coco_unlinkAddress", [wallet.address]), refused);
    const receipt = await (await wallet.connect(provider).sendTransaction({ to: wallets[bravo].address, value: 1n })).wait();
    assert.equal(receipt.from, wallet.address);
    await provider.send("coco_unlinkAddress", [wallet.address]);
    assert.equal(await sees(bravo), false);
    await assert.rejects(provider.send("coco_linkAddress", [message, signature]), refused); // nor ever again
  });

  test("a contract with CocoAccess admits a third party to one event only", async () => {
    const { address, at } = await deploy(shipments, Wallet.createRandom().address);
    const first = await (await at(alpha).pass(1n, wallets[bravo].address, "tin")).wait();
    const second = await (await at(alpha).pass(2n, wallets[charlie].address, "copper")).wait();
    const told = async (member) => (await at(member).queryFilter("Passed", first.blockNumber)).map((event) => event.args.what);
    assert.deepEqual(await told(alpha), ["tin", "copper"]);
    assert.deepEqual(await told(bravo), ["tin"]);
    assert.deepEqual(await told(charlie), ["copper"]);
    // It is told the event, and neither the transaction that it is of, nor the other one.
    for (const { hash, blockNumber } of [first, second]) {
      assert.equal(await providers[charlie].getTransactionReceipt(hash), null);
      assert.equal(await providers[charlie].getTransaction(hash), null);
      assert.equal((await providers[charlie].getBlock(blockNumber)).length, 0);
    }
    assert.equal(await at(charlie).holderOf(2n), wallets[charlie].address);
    await assert.rejects(at(charlie).holderOf(1n), { code: "BAD_DATA" }); // as of an address without code
    assert.equal(await at(bravo).holderOf(1n), wallets[bravo].address);
    assert.equal(BigInt(await providers[charlie].getStorage(address, 0)), 0n);
    assert.equal(await providers[charlie].getCode(address), await providers[bravo].getCode(address)); // its rule shows the code to all
    assert.notEqual(await providers[charlie].getCode(address), "0x");
  });
});

describe("a closed network, by viem", { timeout }, () => {
  let chain, clients, wallets;

  before(async () => {
    chain = defineChain({
      id: Number(await call(rpc[0], "eth_chainId")), name: "Coco", nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 }, rpcUrls: { default: { http: proxies } },
    });
    clients = proxies.map((url) => createPublicClient({ chain, transport: http(url), pollingInterval: 50, cacheTime: 0 }));
    wallets = proxies.map((url, i) => createWalletClient({ account: privateKeyToAccount(keys[i + members.length]), chain, transport: http(url) })); // others than ethers uses
  });

  const of = (member) => wallets[member].account.address;

  async function deploy({ abi, bytecode }, ...args) {
    const hash = await wallets[alpha].deployContract({ abi, bytecode, args });
    const { contractAddress: address } = await clients[alpha].waitForTransactionReceipt({ hash });
    const write = async (member, functionName, ...args) => {
      const sent = await wallets[member].writeContract({ address, abi, functionName, args });
      const receipt = await clients[member].waitForTransactionReceipt({ hash: sent });
      assert.equal(receipt.status, "success");
      return receipt;
    };
    const read = (member, functionName, ...args) => clients[member].readContract({ account: of(member), address, abi, functionName, args });
    return { address, write, read };
  }

  test("members see different worlds on one contract", async () => {
    const { address, write, read } = await deploy(tenToken, 1000n);
    const receipts = [await write(alpha, "transfer", of(bravo), 50n), await write(bravo, "transfer", of(charlie), 2n)];
    const seen = [[50n], [50n, 2n], [2n]];
    const event = parseAbiItem("event Transfer(address indexed from, address indexed to, uint256 value)");
    for (const [member, client] of clients.entries()) {
      for (const other of wallets.keys()) assert.equal((await client.getBalance({ address: of(other) })) > 0n, other === member);
      for (const [sender, { transactionHash: hash, blockHash, blockNumber }] of receipts.entries()) {
        const block = await client.getBlock({ blockNumber, includeTransactions: true });
        assert.equal(block.hash, blockHash);
        assert.equal(block.logsBloom, noBloom);
        assert.equal(block.gasUsed, 0n);
        assert.deepEqual(block.transactions.map((tx) => tx.hash), sender === member ? [hash] : []);
        if (sender === member) {
          assert.equal((await client.getTransactionReceipt({ hash })).logs.length, 1);
          assert.equal((await client.getTransaction({ hash })).from.toLowerCase(), of(sender).toLowerCase());
        } else {
          await assert.rejects(client.getTransactionReceipt({ hash }), TransactionReceiptNotFoundError);
          await assert.rejects(client.getTransaction({ hash }), TransactionNotFoundError);
        }
      }
      const logs = await client.getLogs({ address, event, fromBlock: receipts[0].blockNumber });
      assert.deepEqual(logs.map((log) => log.args.value), seen[member]);
      assert.equal(await read(member, "balanceOf", of(bravo)), 48n);
    }
  });

  test("signTypedData makes a link that the node takes", async () => {
    const account = privateKeyToAccount(generatePrivateKey());
    const hash = await wallets[alpha].sendTransaction({ to: account.address, value: 1n });
    await clients[alpha].waitForTransactionReceipt({ hash });
    const client = clients[charlie];
    const balance = (i) => clients[i].getBalance({ address: account.address });
    assert.equal(await balance(charlie), 0n);
    const data = await client.request({ method: "coco_linkMessage", params: [account.address] });
    const signature = await createWalletClient({ account, chain, transport: http(proxies[charlie]) }).signTypedData(data);
    await assert.rejects(clients[bravo].request({ method: "coco_linkAddress", params: [data.message, signature] }), refused);
    await client.request({ method: "coco_linkAddress", params: [data.message, signature] });
    assert.deepEqual([await balance(alpha), await balance(bravo), await balance(charlie)], [0n, 0n, 1n]);
    await client.request({ method: "coco_unlinkAddress", params: [account.address] });
    assert.equal(await balance(charlie), 0n);
  });

  test("a contract with CocoAccess admits a third party to one event only", async () => {
    const { address, write, read } = await deploy(shipments, privateKeyToAccount(generatePrivateKey()).address);
    const first = await write(alpha, "pass", 1n, of(bravo), "tin");
    const second = await write(alpha, "pass", 2n, of(charlie), "copper");
    const told = async (member) => {
      const logs = await clients[member].getContractEvents({ address, abi: shipments.abi, eventName: "Passed", fromBlock: first.blockNumber });
      return logs.map((log) => log.args.what);
    };
    assert.deepEqual([await told(alpha), await told(bravo), await told(charlie)], [["tin", "copper"], ["tin"], ["copper"]]);
    for (const { transactionHash: hash } of [first, second]) {
      await assert.rejects(clients[charlie].getTransactionReceipt({ hash }), TransactionReceiptNotFoundError);
    }
    assert.equal((await read(charlie, "holderOf", 2n)).toLowerCase(), of(charlie).toLowerCase());
    await assert.rejects(read(charlie, "holderOf", 1n), /returned no data/);
  });
});
