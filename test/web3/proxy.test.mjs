// Unmodified clients through `coco proxy`: two members' proxies on one machine, what MetaMask asks, and the loss of the node under them.
//   COCO_PROXIES  URLs of the proxies, separated by commas, each of another member
//   COCO_SANDBOX  the network's folder, to kill its nodes

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { JsonRpcProvider, Wallet, WebSocketProvider, parseEther } from "ethers";
import { createPublicClient, http, webSocket } from "viem";
import WebSocket from "ws";
import { collector, eventually, keys, rpc } from "./env.mjs";

const proxies = (process.env.COCO_PROXIES ?? "").split(",");
const timeout = 180_000;

// ask sends a request with any headers, as a browser's wallet does, which fetch does not let one.
function ask(url, method, headers, body) {
  return new Promise((resolve, reject) => {
    const req = request(url, { method, headers }, (res) => {
      const parts = [];
      res.on("data", (part) => parts.push(part));
      res.on("end", () => resolve({ status: res.statusCode, headers: res.headers, text: Buffer.concat(parts).toString() }));
    });
    req.on("error", reject);
    req.end(body);
  });
}

// status returns what the node behind a URL says of itself; nothing if none answers.
const status = (url) => fetch(`${url}/node/status`).then((r) => r.json()).catch(() => ({}));

// leader returns the process of the node that leads, once there is one.
async function leader() {
  return await eventually(async () => {
    for (const [i, url] of rpc.entries()) {
      if ((await status(url)).role !== "leader") continue;
      const { nodes } = JSON.parse(readFileSync(join(process.env.COCO_SANDBOX, "sandbox.json"), "utf8"));
      if (nodes[i].pid) return nodes[i].pid;
    }
  }, "a leader", 60_000);
}

// whole waits until all nodes take part again.
async function whole() {
  await eventually(async () => {
    const all = await Promise.all(rpc.map(status));
    return all.every(({ voter, problem }) => voter && !problem);
  }, "all nodes", 60_000);
}

// follows waits until the first proxy has come to the leader: after the loss of a node it is at any that serves for a while.
async function follows() {
  await eventually(async () => (await status(proxies[0])).role === "leader", "the proxy at the leader", 60_000);
}

describe("coco proxy", { timeout }, () => {
  let owner, provider;

  before(async () => {
    provider = new JsonRpcProvider(proxies[0], undefined, { pollingInterval: 50, cacheTimeout: -1 });
    owner = new Wallet(keys[1], provider);
    await whole();
  });

  after(() => provider?.destroy());

  test("two members' proxies on one machine tell the same network", async () => {
    assert.notEqual(proxies[0], proxies[1]);
    const ids = await Promise.all(proxies.map((url) => createPublicClient({ transport: http(url) }).getChainId()));
    assert.equal(ids[0], ids[1]);
    const hash = (await owner.sendTransaction({ to: Wallet.createRandom().address, value: 1n })).hash;
    const second = createPublicClient({ transport: http(proxies[1]) });
    const receipt = await second.waitForTransactionReceipt({ hash, timeout: 10_000 });
    assert.equal(receipt.status, "success");
  });

  test("what MetaMask asks is answered, with the headers of its extension", async () => {
    const origin = "chrome-extension://nkbihfbeogaeaoehlefnkodbefgpgknn";
    const preflight = await ask(proxies[0], "OPTIONS", {
      origin, "access-control-request-method": "POST", "access-control-request-headers": "content-type", "access-control-request-private-network": "true",
    });
    assert.equal(preflight.status, 204);
    assert.equal(preflight.headers["access-control-allow-origin"], origin);
    assert.equal(preflight.headers["access-control-allow-headers"], "content-type");
    let id = Math.floor(Math.random() * 1e12);
    const metamask = async (method, ...params) => {
      const answer = await ask(proxies[0], "POST", {
        origin, "content-type": "application/json", accept: "application/json", "sec-fetch-site": "none", "sec-fetch-mode": "cors", "user-agent": "Mozilla/5.0",
      }, JSON.stringify({ id: id++, jsonrpc: "2.0", method, params }));
      assert.equal(answer.status, 200, `${method}: ${answer.text}`);
      assert.equal(answer.headers["access-control-allow-origin"], origin);
      const reply = JSON.parse(answer.text);
      assert.equal(reply.error, undefined, `${method}: ${answer.text}`);
      return reply.result;
    };
    // A network is added, and its account is looked at.
    const chainId = await metamask("eth_chainId");
    assert.equal(await metamask("net_version"), String(Number(chainId)));
    const number = await metamask("eth_blockNumber");
    const block = await metamask("eth_getBlockByNumber", number, false);
    assert.ok(block.baseFeePerGas); // it asks this for EIP-1559
    assert.ok(BigInt(await metamask("eth_getBalance", owner.address, number)) > 0n);
    // A payment is made ready, signed, sent and followed.
    const to = Wallet.createRandom().address;
    assert.equal(await metamask("eth_getCode", to, "latest"), "0x");
    const fees = await metamask("eth_feeHistory", "0x5", number, [10, 20, 30]);
    assert.ok(Array.isArray(fees.baseFeePerGas));
    assert.ok(await metamask("eth_gasPrice"));
    const gas = await metamask("eth_estimateGas", { from: owner.address, to, value: "0x1", data: "0x" });
    const nonce = await metamask("eth_getTransactionCount", owner.address, "pending");
    const raw = await new Wallet(keys[1]).signTransaction({
      type: 2, chainId: BigInt(chainId), nonce: Number(nonce), to, value: 1n, gasLimit: BigInt(gas), maxFeePerGas: 0n, maxPriorityFeePerGas: 0n,
    });
    const hash = await metamask("eth_sendRawTransaction", raw);
    const receipt = await metamask("eth_getTransactionReceipt", hash);
    assert.equal(receipt.status, "0x1");
    assert.equal((await metamask("eth_getTransactionByHash", hash)).blockHash, receipt.blockHash);
    assert.equal((await metamask("eth_getBlockByHash", receipt.blockHash, false)).number, receipt.blockNumber);
    assert.equal(BigInt(await metamask("eth_getBalance", to, "latest")), 1n);
  });

  test("a page of another site is refused, also by a name that means this machine", async () => {
    const body = JSON.stringify({ id: 1, jsonrpc: "2.0", method: "eth_chainId", params: [] });
    for (const headers of [{ origin: "https://evil.example" }, { host: "rebind.evil.example" }, { origin: "null" }, { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" }]) {
      const answer = await ask(proxies[0], "POST", { "content-type": "application/json", ...headers }, body);
      assert.equal(answer.status, 403, JSON.stringify(headers));
      assert.equal(JSON.parse(answer.text).error.code, "denied");
    }
  });

  test("nodes are killed while ethers sends and viem reads: no error, and each transaction is there once", async () => {
    const wallet = Wallet.createRandom().connect(provider);
    await (await owner.sendTransaction({ to: wallet.address, value: parseEther("1") })).wait();
    const to = Wallet.createRandom().address;
    const reader = createPublicClient({ transport: http(proxies[1], { retryCount: 0, timeout: 60_000 }) });
    let done = false, reads = 0, height = 0n;
    const reading = (async () => {
      while (!done) {
        const n = await reader.getBlockNumber({ cacheTime: 0 });
        assert.ok(n >= height, `block ${n} after ${height}`);
        height = n;
        reads++;
      }
    })();
    const count = 60;
    let killed = 0;
    for (let nonce = 0; nonce < count; nonce += 4) {
      const sending = [0, 1, 2, 3].map((i) => wallet.sendTransaction({ to, value: 1n, nonce: nonce + i, gasLimit: 21_000n, gasPrice: 0n, type: 0 }));
      if (nonce === 16 || nonce === 40) {
        process.kill(await leader(), "SIGKILL");
        killed++;
      }
      for (const tx of await Promise.all(sending)) assert.equal((await tx.wait()).status, 1);
      if (nonce === 36) await whole();
    }
    done = true;
    await reading;
    assert.equal(killed, 2);
    assert.ok(reads > 10, `${reads} reads`);
    assert.equal(await provider.getBalance(to), BigInt(count));
    assert.equal(await provider.getTransactionCount(wallet.address), count);
    await whole();
  });

  test("a WebSocket is closed by status 1012 when its node is lost, and viem goes on", async () => {
    await follows();
    const url = proxies[0].replace("http", "ws");
    const plain = new WebSocket(url);
    const closed = new Promise((resolve) => plain.on("close", (code, reason) => resolve({ code, reason: reason.toString() })));
    await new Promise((resolve, reject) => plain.on("open", resolve).on("error", reject));
    const subscriber = createPublicClient({ transport: webSocket(url, { reconnect: { delay: 100, attempts: 100 } }) });
    const blocks = collector();
    const unwatch = subscriber.watchBlockNumber({ onBlockNumber: (n) => blocks.push(n), onError: () => {} });
    const provider = new WebSocketProvider(url);
    const first = new Promise((resolve) => provider.once("block", resolve));
    const pay = async () => await (await owner.sendTransaction({ to: owner.address, value: 1n })).wait();
    await pay();
    await Promise.all([blocks.take(1), first]);
    provider.websocket.onerror = () => {};
    await provider.destroy();
    process.kill(await leader(), "SIGKILL");
    assert.equal((await closed).code, 1012);
    const before = blocks.length;
    await eventually(async () => { await pay(); return blocks.length > before; }, "blocks after the loss", 60_000);
    unwatch();
    (await subscriber.transport.getRpcClient()).close();
    await whole();
  });
});
