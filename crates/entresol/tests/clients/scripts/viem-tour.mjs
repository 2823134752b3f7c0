// What viem, as it is, does with a wallet behind one of its transports: the same for a page and for a local app.
import { createPublicClient, createWalletClient, defineChain, getAddress, parseEther, recoverMessageAddress, recoverTypedDataAddress } from "viem";

export const tour = async (transport, to) => {
  const wallet = createWalletClient({ transport });
  const [asked] = await wallet.requestAddresses();
  const [account] = await wallet.getAddresses();
  const id = await wallet.getChainId();
  const chain = defineChain({ id, name: "devnet", nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 }, rpcUrls: { default: { http: [] } } });
  const client = createPublicClient({ chain, transport, pollingInterval: 100 });
  const balance = await client.getBalance({ address: to });
  const nonce = await client.getTransactionCount({ address: account });
  const block = await client.getBlockNumber();
  const { data: called } = await client.call({ to, data: "0x" });

  const message = "Hello from viem";
  const signed = await recoverMessageAddress({ message, signature: await wallet.signMessage({ account, message }) });
  const typed = {
    domain: { name: "Ether Mail", version: "1", chainId: id },
    types: { Mail: [{ name: "to", type: "address" }, { name: "contents", type: "string" }] },
    primaryType: "Mail",
    message: { to, contents: "Hello" },
  };
  const recovered = await recoverTypedDataAddress({ ...typed, signature: await wallet.signTypedData({ account, ...typed }) });
  const hash = await wallet.sendTransaction({ account, chain, to, value: parseEther("0.25") });
  const receipt = await client.waitForTransactionReceipt({ hash });
  const after = await client.getBalance({ address: to });
  const refused = await wallet.request({ method: "eth_sign", params: [account, "0x00"] }).then(() => null, (error) => error.cause?.code ?? error.code);
  return {
    asked: getAddress(asked), account: getAddress(account), chainId: id, balance: String(balance), nonce, block: block >= 0n,
    called: called ?? "0x", signed, typed: recovered, hash, status: receipt.status === "success" ? 1 : 0,
    mined: receipt.transactionHash, gained: String(after - balance), refused,
  };
};
