// Compiles the contracts in internal/contracts into the artefacts beside them. With --check nothing is
// written: the exit code says whether the artefacts in the repository are what the sources give.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import solc from "solc";

const folder = new URL("../../internal/contracts/", import.meta.url);
const contracts = ["Token", "Shipments", "TenToken"];

const evmVersion = "cancun";
const input = {
  language: "Solidity",
  sources: Object.fromEntries(
    readdirSync(folder).filter((f) => f.endsWith(".sol")).map((f) => [f, { content: readFileSync(new URL(f, folder), "utf8") }]),
  ),
  settings: {
    evmVersion,
    optimizer: { enabled: true, runs: 1000 },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
  },
};

const output = JSON.parse(solc.compile(JSON.stringify(input)));
for (const problem of output.errors ?? []) console.error(problem.formattedMessage);
if (output.errors?.length) process.exit(1);

let differs = false;
for (const name of contracts) {
  const artefact = new URL(`${name}.json`, folder);
  const made = output.contracts[`${name}.sol`][name];
  const text =
    JSON.stringify(
      {
        contract: name,
        compiler: { name: "solc", version: solc.version(), evmVersion, optimizer: input.settings.optimizer },
        abi: made.abi,
        bytecode: "0x" + made.evm.bytecode.object,
        deployedBytecode: "0x" + made.evm.deployedBytecode.object,
      },
      null,
      2,
    ) + "\n";
  if (!process.argv.includes("--check")) {
    writeFileSync(artefact, text);
  } else if (readFileSync(artefact, "utf8") !== text) {
    console.error(`internal/contracts/${name}.json is not what ${name}.sol compiles to: run \`npm run contracts\` in test/web3`);
    differs = true;
  }
}
process.exit(differs ? 1 : 0);
