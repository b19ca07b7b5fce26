// Starts a network with `coco up`, runs the tests against it and stops it; then a closed one for the tests about that. COCO names the
// program; without it, it is built. COCO_PORT is where the URLs begin. Arguments name test files, and `hardhat` and `foundry` the projects in examples,
// which run against a network in development mode; without any, all run.

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

// up starts a network in a folder and returns what its last line of output says.
async function up(sandbox, flags) {
  if (process.env.COCO_PORT) flags = ["--port", process.env.COCO_PORT, ...flags];
  const child = spawn(program, ["up", "--detach", "--dir", sandbox, ...flags], { stdio: ["ignore", "pipe", "inherit"] });
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

// proxy starts `coco proxy` for a member of a network, and returns its URL and how it is ended.
async function proxy(sandbox, member) {
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

// node runs test files in an environment. A test that is given up may leave connections open: they do not hold up its end.
async function node(files, env) {
  return files.length === 0 ? 0 : await run(process.execPath, ["--test", "--test-force-exit", ...files], { cwd: here, env });
}

// network starts a network and runs on it what use does with the environment of its tests.
async function network(sandbox, flags, use) {
  const ready = await up(sandbox, flags);
  try {
    const { accounts } = JSON.parse(readFileSync(join(sandbox, "sandbox.json"), "utf8"));
    return await use({
      ...process.env,
      COCO_RPC: ready.rpc.join(","),
      COCO_WS: ready.ws.join(","),
      COCO_KEYS: accounts.map((account) => account.key).join(","),
      COCO_SANDBOX: sandbox,
      COCO: program,
      NODE_EXTRA_CA_CERTS: join(sandbox, "service.pem"), // for pages, which ask nodes themselves
    });
  } finally {
    await run(program, ["down", "--dir", sandbox]);
  }
}

// proxied runs test files through proxies of members.
async function proxied(members, files, env) {
  if (files.length === 0) return 0;
  const proxies = [];
  try {
    for (const member of members) proxies.push(await proxy(env.COCO_SANDBOX, member));
    return await node(files, { ...env, COCO_PROXIES: proxies.map((p) => p.url).join(",") });
  } finally {
    for (const p of proxies) await p.end();
  }
}

// examples are the projects in examples that are tested, and what runs in each.
const examples = { hardhat: ["test"], foundry: ["test", "deploy"] };

// projectTests runs a project in examples against a network in development mode.
async function projectTests(name, env) {
  const options = { cwd: join(root, "examples", name), env: { ...env, COCO_RPC: env.COCO_RPC.split(",")[0], HARDHAT_DISABLE_TELEMETRY_PROMPT: "true", CI: "true" } };
  await must("npm", ["ci", "--no-audit", "--no-fund"], options);
  for (const script of examples[name]) {
    const code = await run("npm", ["run", script], options);
    if (code !== 0) return code;
  }
  return 0;
}

async function test() {
  if (!process.env.COCO) await must("go", ["build", "-o", program, "./cmd/coco"], { cwd: root });
  const named = process.argv.slice(2);
  const files = named.length > 0 ? named.filter((name) => !examples[name]) : readdirSync(here).filter((name) => name.endsWith(".test.mjs"));
  const projects = Object.keys(examples).filter((name) => named.length === 0 || named.includes(name));
  const closed = files.filter((name) => name.startsWith("closed."));
  const alone = files.filter((name) => name.startsWith("proxy.")); // they kill nodes
  const together = files.filter((name) => !closed.includes(name) && !alone.includes(name));
  let code = 0;
  if (together.length + alone.length > 0) {
    code = await network(join(work, "sandbox"), [], async (env) => (await node(together, env)) || (await proxied(["alpha", "bravo"], alone, env)));
  }
  if (code === 0 && projects.length > 0) {
    code = await network(join(work, "dev"), ["--dev"], async (env) => {
      let failed = 0;
      for (const project of projects) failed ||= await projectTests(project, env);
      return failed;
    });
  }
  if (code === 0 && closed.length > 0) {
    code = await network(join(work, "closed"), ["--closed"], (env) => proxied(["alpha", "bravo", "charlie"], closed, env));
  }
  return code;
}

for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => {}); // the children end, then this does
try {
  process.exitCode = (await test()) === 0 ? 0 : 1;
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  if (process.exitCode === 0) rmSync(work, { recursive: true, force: true });
  else console.error(`the networks' folders are kept: ${work}`);
}
