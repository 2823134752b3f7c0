// viem in a page, with the wallet that EIP-6963 announces. Bundled with esbuild; `run` is what the test calls.
import { custom } from "viem";
import { tour } from "./viem-tour.mjs";

window.run = async (to) => {
  const provider = await new Promise((resolve) => {
    addEventListener("eip6963:announceProvider", ({ detail }) => detail.info.rdns === "example.entresol" && resolve(detail.provider));
    dispatchEvent(new Event("eip6963:requestProvider"));
  });
  return tour(custom(provider, { retryCount: 0 }), to);
};
