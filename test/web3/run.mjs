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

async function test() {
  if (!process.env.COCO) await must("go", ["build", "-o", program, "./cmd/coco"], { cwd: root });
  const ready = await up();
  try {
    const { accounts } = JSON.parse(readFileSync(join(sandbox, "sandbox.json"), "utf8"));
    const named = process.argv.slice(2);
    const files = named.length > 0 ? named : readdirSync(here).filter((name) => name.endsWith(".test.mjs"));
    return await run(process.execPath, ["--test", ...files], {
      cwd: here,
      env: {
        ...process.env,
        COCO_RPC: ready.rpc.join(","),
        COCO_WS: ready.ws.join(","),
        COCO_KEYS: accounts.map((account) => account.key).join(","),
      },
    });
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
