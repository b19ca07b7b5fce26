// The network under test, as run.mjs or a person describes it:
//   COCO_RPC   HTTP URLs, one for each node, separated by commas
//   COCO_WS    WebSocket URLs, in the same order
//   COCO_KEYS  private keys of accounts that hold ether

import { readFileSync } from "node:fs";

function list(name) {
  const items = (process.env[name] ?? "").split(",").filter((item) => item !== "");
  if (items.length === 0) throw new Error(`${name} is not set: start the tests with \`npm test\``);
  return items;
}

export const rpc = list("COCO_RPC");
export const ws = list("COCO_WS");
export const keys = list("COCO_KEYS");

const artefact = (name) => JSON.parse(readFileSync(new URL(`../../internal/contracts/${name}.json`, import.meta.url), "utf8"));

export const token = artefact("Token");
export const tenToken = artefact("TenToken");
export const shipments = artefact("Shipments");

// post sends any JSON-RPC body to a node and returns the HTTP status and the parsed reply.
export async function post(url, body) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, reply: text === "" ? undefined : JSON.parse(text) };
}

// call makes one JSON-RPC call and returns its result.
export async function call(url, method, ...params) {
  const { reply } = await post(url, { jsonrpc: "2.0", id: 1, method, params });
  if (reply.error) throw Object.assign(new Error(reply.error.message), reply.error);
  return reply.result;
}

// eventually waits until probe returns something other than undefined, null or false. A node that
// did not take part in a commit applies it a moment later.
export async function eventually(probe, what, patience = 10_000) {
  for (const end = Date.now() + patience; ; ) {
    const found = await probe();
    if (found !== undefined && found !== null && found !== false) return found;
    if (Date.now() > end) throw new Error(`${what}: not within ${patience} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

// collector gathers events: push(value), and take(n) for a promise of the first n.
export function collector() {
  const values = [];
  return {
    push: (value) => values.push(value),
    take: (n) => eventually(() => values.length >= n && values.slice(0, n), `${n} events`),
    get length() {
      return values.length;
    },
  };
}
