// Starts a network with `coco up`, runs the tests against it and stops it. COCO names the program;
// without it, it is built. Arguments name test files; without any, all run.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = resolve(here, "../..");
const work = mkdtempSync(join(tmpdir(), "coco-web3-"));
const sandbox = join(work, "sandbox");
const program = process.env.COCO ? resolve(process.env.COCO) : join(work, "coco");

async function run(command, args, options = {}) {
  const child = spawn(command, args, { stdio: "inherit", ...options });
  const [code, signal] = await once(child, "exit");
  return code ?? signal;
}

async function must(command, args, options) {
  const code = await run(command, args, options);
  if (code !== 0) throw new Error(`${command} ${args.join(" ")}: ended with ${code}`);
}

// up starts the network and returns what its last line of output says.
async function up() {
  const child = spawn(program, ["up", "--detach", "--dir", sandbox], { stdio: ["ignore", "pipe", "inherit"] });
  let ready;
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (line) => {
    console.log(line);
    if (!line.startsWith("{")) return;
    const step = JSON.parse(line);
    if (step.step === "ready") ready = step;
  });
  const [code] = await once(child, "exit");
  if (code !== 0) throw new Error(`coco up: ended with ${code}`);
  for (const end = Date.now() + 5000; !ready && Date.now() < end; ) await new Promise((r) => setTimeout(r, 10));
  if (!ready) throw new Error('coco up: no line says {"step":"ready",…}');
  return ready;
}

// proxy starts `coco proxy` for a member, and returns the process and its URL.
async function proxy(member) {
  const child = spawn(program, ["proxy", "--dir", sandbox, "--as", member, "--listen", "127.0.0.1:0", "-o", "json"], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const url = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      console.log(line);
      const step = JSON.parse(line);
      if (step.step === "ready") resolve(step.rpc);
    });
    exited.then(([code]) => reject(new Error(`coco proxy: ended with ${code}`)));
  });
  return { url, end: async () => { child.kill("SIGINT"); await exited; } };
}

async function test() {
  if (!process.env.COCO) await must("go", ["build", "-o", program, "./cmd/coco"], { cwd: root });
  const ready = await up();
  try {
    const { accounts } = JSON.parse(readFileSync(join(sandbox, "sandbox.json"), "utf8"));
    const named = process.argv.slice(2);
    const files = named.length > 0 ? named : readdirSync(here).filter((name) => name.endsWith(".test.mjs"));
    const env = {
      ...process.env,
      COCO_RPC: ready.rpc.join(","),
      COCO_WS: ready.ws.join(","),
      COCO_KEYS: accounts.map((account) => account.key).join(","),
    };
    // Those of the proxy kill nodes: they run alone.
    const alone = files.filter((name) => name.startsWith("proxy."));
    const together = files.filter((name) => !alone.includes(name));
    if (together.length > 0) {
      const code = await run(process.execPath, ["--test", ...together], { cwd: here, env });
      if (code !== 0) return code;
    }
    if (alone.length === 0) return 0;
    const proxies = [];
    try {
      for (const member of ["alpha", "bravo"]) proxies.push(await proxy(member));
      return await run(process.execPath, ["--test", ...alone], {
        cwd: here,
        env: { ...env, COCO_PROXIES: proxies.map((p) => p.url).join(","), COCO_SANDBOX: sandbox },
      });
    } finally {
      for (const p of proxies) await p.end();
    }
  } finally {
    await run(program, ["down", "--dir", sandbox]);
  }
}

for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => {}); // the children end, then this does
try {
  process.exitCode = (await test()) === 0 ? 0 : 1;
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  if (process.exitCode === 0) rmSync(work, { recursive: true, force: true });
  else console.error(`the network's folder is kept: ${sandbox}`);
}
