// Compiles internal/contracts/Token.sol into the artefact beside it. With --check nothing is
// written: the exit code says whether the artefact in the repository is what the source gives.

import { readFileSync, writeFileSync } from "node:fs";
import solc from "solc";

const folder = new URL("../../internal/contracts/", import.meta.url);
const source = new URL("Token.sol", folder);
const artefact = new URL("Token.json", folder);

const evmVersion = "cancun";
const input = {
  language: "Solidity",
  sources: { "Token.sol": { content: readFileSync(source, "utf8") } },
  settings: {
    evmVersion,
    optimizer: { enabled: true, runs: 1000 },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
  },
};

const output = JSON.parse(solc.compile(JSON.stringify(input)));
for (const problem of output.errors ?? []) console.error(problem.formattedMessage);
if (output.errors?.length) process.exit(1);

const token = output.contracts["Token.sol"].Token;
const text =
  JSON.stringify(
    {
      contract: "Token",
      compiler: { name: "solc", version: solc.version(), evmVersion, optimizer: input.settings.optimizer },
      abi: token.abi,
      bytecode: "0x" + token.evm.bytecode.object,
      deployedBytecode: "0x" + token.evm.deployedBytecode.object,
    },
    null,
    2,
  ) + "\n";

if (process.argv.includes("--check")) {
  if (readFileSync(artefact, "utf8") !== text) {
    console.error("internal/contracts/Token.json is not what Token.sol compiles to: run `npm run contracts` in test/web3");
    process.exit(1);
  }
} else {
  writeFileSync(artefact, text);
}
