// Sign-In with Ethereum (ERC-4361) to a Coco network, for a page in a browser: docs/access.md says what a session is.

const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");

const base64url = (bytes) => btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

// message is the text that the user's wallet shows and signs.
//   origin   of the page: location.origin
//   address  with the checksum of ERC-55
//   network  the network's id, 64 hexadecimal digits: `coco node approve` prints it, and `coco node join` before it asks for approval
//   nonce    SHA-256 of the token, in hexadecimal digits
//   name     of the session, for the user's list: letters, digits, '-', '.', '_', '~'
//   scope    "read", "send", or names of methods, in a list
export function message({ origin, address, chainId, network, nonce, name, scope, issued = new Date(), expires }) {
  const resources = [`network:${network}`, `session:${name}`, ...scope.map((may) => `scope:${may}`)];
  return `${origin.split("://")[1]} wants you to sign in with your Ethereum account:
${address}

Let this page act for you on the Coco network.

URI: ${origin}
Version: 1
Chain ID: ${chainId}
Nonce: ${nonce}
Issued At: ${issued.toISOString()}
Expiration Time: ${expires.toISOString()}
Resources:
${resources.map((r) => `- urn:coco:${r}`).join("\n")}`;
}

// call makes a call of JSON-RPC by a credential, which goes in a header: never put it into a URL, which servers log.
export async function call(node, credential, method, params = []) {
  const response = await fetch(`${node}/rpc`, {
    method: "POST",
    credentials: "omit", // a certificate beside the session would be a second credential
    headers: { authorization: `Coco-Session ${credential}`, "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  const reply = await response.json();
  if (!response.ok) throw Object.assign(new Error(reply.error.message), { status: response.status });
  if (reply.error) throw Object.assign(new Error(reply.error.message), reply.error);
  return reply.result;
}

// signIn has the user sign in, and returns the session's token. It never leaves the page but to the nodes. signer is one of ethers: it has
// getAddress() and signMessage(text).
export async function signIn({ node, origin = location.origin, signer, chainId, network, name, scope = ["read"], hours = 8 }) {
  const token = crypto.getRandomValues(new Uint8Array(32));
  const nonce = hex(new Uint8Array(await crypto.subtle.digest("SHA-256", token)));
  const expires = new Date(Date.now() + hours * 3_600_000);
  const text = message({ origin, address: await signer.getAddress(), chainId, network, nonce, name, scope, expires });
  const signature = await signer.signMessage(text);
  const signed = new Uint8Array([...signature.slice(2).match(/../g).map((d) => parseInt(d, 16)), ...new TextEncoder().encode(text)]);
  await call(node, base64url(signed), "coco_signIn");
  return hex(token);
}

// socket opens a WebSocket by a token, which is named as a protocol because a page cannot set a header there.
export const socket = (node, token) => new WebSocket(`${node.replace("http", "ws")}/rpc`, ["coco-session", token]);

// signOut ends a session on all nodes.
export async function signOut(node, token) {
  const [{ id }] = await call(node, token, "coco_sessions");
  await call(node, token, "coco_endSession", [id]);
}
