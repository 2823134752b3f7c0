// ethers 6 in a page, with the wallet that EIP-6963 announces. Bundled with esbuild; `run` is what the test calls.
import { BrowserProvider } from "ethers";
import { tour } from "./ethers-tour.mjs";

window.run = async (to) => {
  const provider = await BrowserProvider.discover({ filter: (found) => found.find(({ rdns }) => rdns === "example.entresol") });
  return tour(provider, to);
};
