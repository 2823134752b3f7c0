#!/usr/bin/env node
// The Solidity compiler from npm, in the two ways in which forge calls the native one: forge would fetch that by itself.
const solc = require("solc");

if (process.argv.includes("--version")) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
} else {
  process.stdout.write(solc.compile(require("node:fs").readFileSync(0, "utf8")));
}
