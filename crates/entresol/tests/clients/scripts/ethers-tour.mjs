// What ethers 6, as it is, does with a wallet behind one of its providers: the same for a page and for a local app.
import { parseEther, verifyMessage, verifyTypedData } from "ethers";

export const tour = async (provider, to) => {
  const [asked] = await provider.send("eth_requestAccounts", []);
  const signer = await provider.getSigner();
  const { chainId } = await provider.getNetwork();
  // Several at one tick: ethers sends them to an address as one batch.
  const [balance, nonce, block] = await Promise.all([
    provider.getBalance(to), provider.getTransactionCount(signer.address), provider.getBlock("latest")]);
  const called = await provider.call({ to, data: "0x" });

  const message = "Hello from ethers";
  const signed = verifyMessage(message, await signer.signMessage(message));
  const domain = { name: "Ether Mail", version: "1", chainId };
  const types = { Mail: [{ name: "to", type: "address" }, { name: "contents", type: "string" }] };
  const mail = { to, contents: "Hello" };
  const typed = verifyTypedData(domain, types, mail, await signer.signTypedData(domain, types, mail));

  const sent = await signer.sendTransaction({ to, value: parseEther("0.25") });
  const receipt = await sent.wait();
  // Named by its block: ethers gives the same answer to the same question for a quarter of a second.
  const after = await provider.getBalance(to, receipt.blockNumber);
  const refused = await provider.send("eth_sign", [signer.address, "0x00"]).then(() => null, (error) => error.error?.code ?? error.code);
  return {
    asked, account: signer.address, chainId: Number(chainId), balance: String(balance), nonce, block: block.number >= 0, called,
    signed, typed, hash: sent.hash, status: receipt.status, mined: receipt.hash, gained: String(after - balance), refused,
  };
};
