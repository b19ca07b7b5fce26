// The page of examples/sign-in in a closed network, by a client that does what a browser does: it asks before each request of another origin (the CORS
// protocol of the Fetch standard), and keeps from the page what it may not read.
//   COCO          the program
//   COCO_SANDBOX  the network's folder

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate, createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { FetchRequest, JsonRpcProvider, Wallet, getBytes } from "ethers";
import { WebSocket as Socket } from "ws";
import { call, message, signIn, signOut, socket } from "../../examples/sign-in/session.mjs";
import { eventually, keys } from "./env.mjs";

const sandbox = process.env.COCO_SANDBOX, examples = new URL("../../examples/sign-in/", import.meta.url);
const coco = (member, ...args) => execFileSync(process.env.COCO, [...args, "--dir", sandbox], { encoding: "utf8", env: { ...process.env, COCO_MEMBER: member } });
const timeout = 60_000;

// The browser: the page that is open is of this origin.
let origin;
const plain = globalThis.fetch;
globalThis.fetch = async (url, { method = "GET", headers = {}, body } = {}) => {
  const names = Object.keys(headers).map((name) => name.toLowerCase()).filter((name) => name !== "accept").sort();
  const asked = await plain(url, { method: "OPTIONS", headers: { Origin: origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": names.join(",") } });
  const list = (name) => (asked.headers.get(name) ?? "").split(",").map((item) => item.trim().toLowerCase());
  const may = asked.ok && asked.headers.get("access-control-allow-origin") === origin && (method === "POST" || list("access-control-allow-methods").includes(method.toLowerCase()));
  if (!may || !names.every((name) => list("access-control-allow-headers").includes(name))) throw new TypeError("blocked by CORS");
  const answer = await plain(url, { method, headers: { ...headers, Origin: origin, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors" }, body });
  if (answer.headers.get("access-control-allow-origin") !== origin) throw new TypeError("blocked by CORS");
  return answer;
};
const ca = readFileSync(join(sandbox, "service.pem"));
globalThis.WebSocket = class extends Socket {
  constructor(url, protocols) { super(url, protocols, { origin, ca }); }
};

describe("a page with a session", { timeout }, () => {
  const { nodes } = JSON.parse(readFileSync(join(sandbox, "sandbox.json"), "utf8"));
  const [node, other] = nodes.map((n) => `https://${n.client}`);
  const network = createHash("sha256").update(new X509Certificate(ca).publicKey.export({ type: "spki", format: "der" })).digest("hex");
  const wallet = Wallet.createRandom();
  const chain = readFileSync(join(sandbox, "constitution.toml"), "utf8").match(/chain_id = (\d+)/)[1];
  const signing = (changes = {}) => signIn({ node, origin, signer: wallet, chainId: chain, network, name: "laptop", ...changes });
  const refused = (status) => (error) => error.status === status;

  before(async () => {
    const server = createServer((request, response) => { // a page is served from where its users load it
      response.setHeader("Content-Type", request.url.endsWith(".mjs") ? "text/javascript" : "text/html");
      response.end(readFileSync(new URL(request.url === "/" ? "index.html" : `.${request.url}`, examples)));
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    origin = `http://127.0.0.1:${server.address().port}`;
    const page = await (await plain(origin)).text();
    for (const [, name] of page.matchAll(/from "\.\/(session\.mjs)"/g)) assert.ok((await plain(`${origin}/${name}`)).ok);
    assert.match(page, /signIn\(/);
    server.close();

    const key = join(sandbox, "page.key");
    writeFileSync(key, wallet.privateKey, { mode: 0o600 });
    coco("alpha", "identity", "link", "--key", key, "--user", "kim");
  });

  test("it may ask nothing before members have voted", async () => {
    await assert.rejects(signing(), /blocked by CORS/);
    const proposed = coco("alpha", "gov", "propose", "add-origin", origin, "--yes", "-o", "json");
    const { id } = JSON.parse(proposed.trim().split("\n").at(-1));
    coco("bravo", "gov", "vote", "yes", String(id));
    await eventually(() => signing({ name: "first" }).then((token) => signOut(node, token).then(() => true), () => false), "a sign-in after the vote");
  });

  test("it reads as its user, by ethers, at each node", async () => {
    const token = await signing();
    assert.match(token, /^[0-9a-f]{64}$/);
    for (const url of [node, other]) {
      const request = new FetchRequest(`${url}/rpc`);
      request.setHeader("authorization", `Coco-Session ${token}`);
      request.getUrlFunc = async (asked) => {
        const { authorization } = asked.headers;
        const answer = await fetch(asked.url, { method: "POST", headers: { authorization, "content-type": "application/json" }, body: asked.body });
        return { statusCode: answer.status, statusMessage: answer.statusText, headers: Object.fromEntries(answer.headers), body: new Uint8Array(await answer.arrayBuffer()) };
      };
      const provider = new JsonRpcProvider(request, undefined, { staticNetwork: false });
      assert.equal((await provider.getNetwork()).chainId, BigInt(chain));
      assert.equal(await provider.getTransactionCount(wallet.address), 0);
      assert.equal(await provider.getBalance(new Wallet(keys[0]).address), 0n); // the account is its organisation's, and not kim's
      provider.destroy();
    }
    await assert.rejects(call(node, token, "eth_sendRawTransaction", ["0x00"]), (error) => error.code === -32601 && /for read only/.test(error.message));
    assert.deepEqual((await call(node, token, "coco_sessions")).map((s) => [s.user, s.name, s.origin, s.scope]), [["kim", "laptop", origin, ["read"]]]);
    const listed = coco("alpha", "identity", "sessions");
    assert.match(listed, /user "kim" {2}"laptop"/);

    const ws = socket(node, token);
    await once(ws, "open");
    assert.equal(ws.protocol, "coco-session");
    ws.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_chainId", params: [] }));
    const [told] = await once(ws, "message");
    assert.equal(BigInt(JSON.parse(told).result), BigInt(chain));
    const closed = once(ws, "close");
    await signOut(node, token);
    const [code] = await closed; // no message comes
    assert.ok([1006, 1008].includes(code), `closed with ${code}`); // by the ledger, or by the gateway when the constitution changes
    await assert.rejects(call(node, token, "eth_chainId"), refused(401));
    await eventually(() => call(other, token, "eth_chainId").then(() => false, refused(401)), "the end at another node");
  });

  test("it ends at its time", async () => {
    const token = await signing({ hours: 3 / 3600, name: "short" });
    await call(node, token, "eth_chainId");
    await eventually(() => call(node, token, "eth_chainId").then(() => false, refused(401)), "the end of a session of three seconds");
  });

  test("no page of another origin uses its token", async () => {
    const token = await signing({ name: "theft" }), own = origin;
    try {
      origin = "https://evil.example";
      await assert.rejects(call(node, token, "eth_chainId"), /blocked by CORS/);
      const answer = await plain(`${node}/rpc`, { method: "POST", headers: { Origin: origin, authorization: `Coco-Session ${token}`, "content-type": "application/json" }, body: "{}" });
      assert.equal(answer.status, 401);
    } finally {
      origin = own;
    }
    await signOut(node, token);
  });

  test("messages for others, and used ones, sign nobody in", async () => {
    const now = Date.now();
    const signed = async (changes, text = (t) => t) => {
      const token = crypto.getRandomValues(new Uint8Array(32));
      const nonce = createHash("sha256").update(token).digest("hex");
      const said = text(message({ origin, address: wallet.address, chainId: chain, network, nonce, name: "x", scope: ["read"], issued: new Date(now), expires: new Date(now + 600_000), ...changes }));
      const credential = Buffer.concat([getBytes(await wallet.signMessage(said)), Buffer.from(said)]).toString("base64url");
      return credential;
    };
    const refusals = { // credentials
      "another network": signed({ network: "0".repeat(64) }),
      "another chain": signed({ chainId: 1 }),
      "another domain": signed({ origin: "https://evil.example" }),
      "a domain beside the URI's": signed({}, (t) => t.replace(/^[^ ]+/, "evil.example")),
      "an old one": signed({ issued: new Date(now - 3_600_000) }),
      "one without end": signed({}, (t) => t.replace(/\nExpiration Time: .*/, "")),
      "one without scope": signed({ scope: [] }),
      "another address": signed({ address: Wallet.createRandom().address }),
    };
    for (const [name, credential] of Object.entries(refusals)) await assert.rejects(call(node, await credential, "coco_signIn"), refused(401), name);
    const credential = await signed({});
    await call(node, credential, "coco_signIn");
    for (const url of [node, other]) await assert.rejects(call(url, credential, "coco_signIn"), (error) => error.code === -32602 && /used already/.test(error.message));
    await assert.rejects(call(node, credential, "eth_chainId"), (error) => error.code === -32601);
  });
});
