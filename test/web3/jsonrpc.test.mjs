// The protocol itself, without a library: batches, errors and what no library would send.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { call, post, rpc } from "./env.mjs";

const url = rpc[0];
const request = (id, method, ...params) => ({ jsonrpc: "2.0", id, method, params });

describe("JSON-RPC", { timeout: 30_000 }, () => {
  test("a batch is answered element by element", async () => {
    const { status, reply } = await post(url, [
      request(1, "eth_chainId"),
      request("two", "eth_noSuchMethod"),
      request(3, "eth_getBalance", "0x1234", "latest"),
      request(4, "eth_getBalance", "0x0000000000000000000000000000000000000001", "latest"),
    ]);
    assert.equal(status, 200);
    assert.equal(reply.length, 4);
    const byId = new Map(reply.map((answer) => [answer.id, answer]));
    assert.match(byId.get(1).result, /^0x[1-9a-f][0-9a-f]*$/);
    assert.equal(byId.get("two").error.code, -32601);
    assert.equal(byId.get(3).error.code, -32602);
    assert.match(byId.get(4).result, /^0x[0-9a-f]+$/);
  });

  test("what is not JSON, or no request, is answered by the specified errors", async () => {
    for (const [body, code] of [
      ["{", -32700],
      ["[]", -32600],
      ["{}", -32600],
    ]) {
      const { reply } = await post(url, body);
      const answer = Array.isArray(reply) ? reply[0] : reply;
      assert.equal(answer.error.code, code, body);
    }
  });

  test("raw transactions that are none are refused", async () => {
    for (const raw of ["0x", "0x00", "0x02f8", "0x7f" + "00".repeat(64), "zz"]) {
      await assert.rejects(call(url, "eth_sendRawTransaction", raw), (error) => error.code < 0, raw);
    }
  });

  test("the facts about a node", async () => {
    assert.match(await call(url, "web3_clientVersion"), /coco/i);
    assert.equal(BigInt(await call(url, "net_version")), BigInt(await call(url, "eth_chainId")));
    assert.equal(await call(url, "eth_syncing"), false);
    assert.deepEqual(await call(url, "eth_accounts"), []);
    assert.equal(await call(url, "eth_getTransactionReceipt", "0x" + "11".repeat(32)), null);
    assert.equal(await call(url, "eth_getBlockByNumber", "0xffffffff", false), null);
  });
});
