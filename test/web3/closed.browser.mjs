// The page of examples/sign-in in a real browser (Chromium), in a closed network: it signs in, reads, and its user's access is revoked by vote.
//   CHROMIUM      the browser; without it, chromium
//   COCO          the program
//   COCO_SANDBOX  the network's folder
//
// The browser is driven by its own protocol (Chrome DevTools Protocol) over a WebSocket. Its wallet is a provider (EIP-1193) in the page whose
// questions are answered here: nothing of the page or of the browser is replaced.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { X509Certificate, createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { after, before, describe, test } from "node:test";
import { Wallet, toUtf8String } from "ethers";
import { WebSocket } from "ws";
import { eventually } from "./env.mjs";

const sandbox = process.env.COCO_SANDBOX, examples = new URL("../../examples/sign-in/", import.meta.url);
const coco = (member, ...args) => execFileSync(process.env.COCO, [...args, "--dir", sandbox], { encoding: "utf8", env: { ...process.env, COCO_MEMBER: member } });
const vote = (...change) => {
  const { id } = JSON.parse(coco("alpha", "gov", "propose", ...change, "--yes", "-o", "json").trim().split("\n").at(-1));
  coco("bravo", "gov", "vote", "yes", String(id));
};
const patience = 60_000;

// Browser is a Chromium, and what is open in it.
class Browser {
  static async start(keys) {
    const b = new Browser();
    b.profile = mkdtempSync(join(tmpdir(), "coco-browser-"));
    b.process = spawn(process.env.CHROMIUM ?? "chromium", [
      "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
      `--user-data-dir=${b.profile}`, "--remote-debugging-port=0",
      `--ignore-certificate-errors-spki-list=${keys.join(",")}`, // these nodes' own, in the place of a certificate authority that users trust
      "about:blank",
    ], { stdio: ["ignore", "ignore", "pipe"] });
    const url = await new Promise((resolve, reject) => {
      let said = "";
      b.process.stderr.on("data", (text) => {
        const found = (said += text).match(/DevTools listening on (ws:\S+)/);
        if (found) resolve(found[1]);
      });
      b.process.on("error", reject);
      b.process.on("exit", (code) => reject(new Error(`the browser ended with ${code}: ${said}`)));
    });
    b.socket = new WebSocket(url);
    await once(b.socket, "open");
    b.waiting = new Map();
    b.asked = () => {};
    b.next = 1;
    b.socket.on("message", (data) => {
      const { id, result, error, method, params, sessionId } = JSON.parse(data);
      if (method === "Runtime.bindingCalled") b.asked(sessionId, JSON.parse(params.payload));
      if (!b.waiting.has(id)) return;
      const { resolve, reject } = b.waiting.get(id);
      b.waiting.delete(id);
      error ? reject(new Error(error.message)) : resolve(result);
    });
    return b;
  }

  send(method, params = {}, sessionId) {
    const id = this.next++;
    this.socket.send(JSON.stringify({ id, method, params, sessionId }));
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  // open opens a page with a wallet, and returns how expressions are evaluated in it.
  async open(url, wallet) {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const page = (method, params) => this.send(method, params, sessionId);
    await page("Page.enable");
    await page("Runtime.enable");
    await page("Runtime.addBinding", { name: "askWallet" });
    await page("Page.addScriptToEvaluateOnNewDocument", { source: `{
      const waiting = new Map();
      let next = 1;
      window.answerOfWallet = (id, result) => { waiting.get(id)(result); waiting.delete(id); };
      window.ethereum = { request: ({ method, params }) => new Promise((resolve) => { waiting.set(next, resolve); askWallet(JSON.stringify({ id: next++, method, params })); }) };
    }` });
    this.asked = async (session, { id, method, params }) => {
      const result = await wallet(method, params);
      await this.send("Runtime.evaluate", { expression: `answerOfWallet(${id}, ${JSON.stringify(result)})` }, session);
    };
    await page("Page.navigate", { url });
    const evaluate = async (expression) => {
      const { result, exceptionDetails } = await page("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    };
    await eventually(() => evaluate(`document.readyState === "complete" && location.href.startsWith(${JSON.stringify(url)})`), "the page", patience);
    return evaluate;
  }

  async end() {
    const exited = once(this.process, "exit");
    this.process.kill("SIGTERM");
    await exited;
    this.socket.terminate();
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

// keyOf is what a browser compares of a node's certificate: SHA-256 of its public key, in base64.
async function keyOf(client) {
  const [host, port] = client.split(":");
  const socket = connect({ host, port, rejectUnauthorized: false });
  await once(socket, "secureConnect");
  const { publicKey } = socket.getPeerX509Certificate();
  socket.destroy();
  return createHash("sha256").update(publicKey.export({ type: "spki", format: "der" })).digest("base64");
}

describe("the page of examples/sign-in in Chromium", { timeout: 10 * patience }, () => {
  const { nodes } = JSON.parse(readFileSync(join(sandbox, "sandbox.json"), "utf8"));
  const service = readFileSync(join(sandbox, "service.pem"));
  const network = createHash("sha256").update(new X509Certificate(service).publicKey.export({ type: "spki", format: "der" })).digest("hex");
  const chain = readFileSync(join(sandbox, "constitution.toml"), "utf8").match(/chain_id = (\d+)/)[1];
  const account = Wallet.createRandom();
  const shown = []; // what the wallet was asked to sign
  let browser, origin, page, server;

  const wallet = async (method, params) => {
    switch (method) {
      case "eth_requestAccounts":
      case "eth_accounts":
        return [account.address];
      case "eth_chainId":
        return `0x${BigInt(chain).toString(16)}`;
      case "personal_sign":
        shown.push(toUtf8String(params[0]));
        return account.signMessage(shown.at(-1));
    }
    throw new Error(`the wallet is asked ${method}`);
  };
  const fill = (values) => page(`for (const [name, value] of Object.entries(${JSON.stringify(values)})) document.querySelector(\`[name=\${name}]\`).value = value`);
  const log = () => page("document.querySelector('#log').textContent");
  const said = async (pattern) => {
    try {
      return await eventually(async () => (await log()).match(pattern), `${pattern} in the page`, patience);
    } catch (error) {
      throw new Error(`${error.message}; it says: ${await log()}`);
    }
  };
  const clear = () => page("document.querySelector('#log').textContent = ''");
  const signIn = () => page("document.querySelector('#where').requestSubmit()");

  before(async () => {
    const ethers = readFileSync(new URL("node_modules/ethers/dist/ethers.min.js", import.meta.url));
    server = createServer((request, response) => {
      const path = request.url === "/" ? "/index.html" : request.url;
      response.setHeader("Content-Type", path.endsWith("js") ? "text/javascript" : "text/html");
      if (path === "/ethers.min.js") return response.end(ethers);
      if (path !== "/index.html" && path !== "/session.mjs") return response.writeHead(404).end();
      response.end(readFileSync(new URL(`.${path}`, examples)));
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    origin = `http://127.0.0.1:${server.address().port}`;
    const key = join(sandbox, "browser.key");
    writeFileSync(key, account.privateKey, { mode: 0o600 });
    coco("alpha", "identity", "link", "--key", key, "--user", "kim");
    browser = await Browser.start(await Promise.all(nodes.map((n) => keyOf(n.client))));
    page = await browser.open(`${origin}/`, wallet);
    await fill({ node: `https://${nodes[0].client}`, network, chain });
  });
  after(async () => {
    await browser?.end();
    server.close();
  });

  test("the browser lets it ask nothing before members have agreed on it", async () => {
    await signIn();
    await said(/Failed: Failed to fetch/);
    await clear();
  });

  test("its user signs in, and it reads as the user", async () => {
    vote("add-origin", origin);
    await signIn();
    await said(/Signed in as 0x[0-9a-fA-F]{40}\.\nBalance: 0 wei\nSession browser, for read, until /);
    assert.match(shown.at(-1), new RegExp(`^${origin.slice("http://".length)} wants you to sign in`));
    assert.match(shown.at(-1), /\n- urn:coco:session:browser\n- urn:coco:scope:read$/);
    assert.match(coco("alpha", "identity", "sessions"), /user "kim" {2}"browser"/);
    await clear();
  });

  test("signing in again by the device's name replaces its session", async () => {
    await signIn();
    await said(/Session browser/);
    assert.equal((await log()).match(/Session /g).length, 1);
    await clear();
  });

  test("a vote takes its user's access, and what is given back begins anew", async () => {
    vote("revoke-access", "--organisation", "alpha", "--user", "kim");
    await page("document.querySelector('#out').click()");
    await said(/Failed: denied: members have taken access from the session's user/);
    vote("revoke-access", "--organisation", "alpha", "--user", "kim", "--remove");
    await clear();
    await page("document.querySelector('#out').click()");
    await said(/Failed: denied: members have taken access/);
    await clear();
    await new Promise((resolve) => setTimeout(resolve, 2000)); // what is given back begins with the next second
    await signIn();
    await said(/Session browser/);
    await clear();
    await page("document.querySelector('#out').click()");
    await said(/Signed out\./);
  });

  test("a page of another origin has nothing of it", async () => {
    const answer = await page(`fetch(${JSON.stringify(`https://${nodes[0].client}/node/nodes`)}).then((r) => r.status, (error) => error.message)`);
    assert.equal(answer, "Failed to fetch"); // no route but JSON-RPC answers pages
  });
});
