// viem against the address of a local app. What it found is printed as one line of JSON.
import { http } from "viem";
import { tour } from "./viem-tour.mjs";

const [, , url, to] = process.argv;
// The user takes their time to decide.
console.log(JSON.stringify(await tour(http(url, { timeout: 60_000, retryCount: 0 }), to)));
