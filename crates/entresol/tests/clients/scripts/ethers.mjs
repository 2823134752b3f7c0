// ethers 6 against the address of a local app. What it found is printed as one line of JSON.
import { JsonRpcProvider } from "ethers";
import { tour } from "./ethers-tour.mjs";

const [, , url, to] = process.argv;
const provider = new JsonRpcProvider(url);
console.log(JSON.stringify(await tour(provider, to)));
provider.destroy();
