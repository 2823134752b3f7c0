import * as viem from "viem";
import { mnemonicToAccount, privateKeyToAccount, generatePrivateKey } from "viem/accounts";
import { mainnet } from "viem/chains";

const outcome = async (work) => { try { return await work(); } catch (error) { return [error.name, error.shortMessage]; } };

export async function run() {
    const seen = {};
    const account = mnemonicToAccount("test test test test test test test test test test test junk", { addressIndex: 2 });
    seen.account = [account.address, account.publicKey];
    seen.message = await account.signMessage({ message: "hello inside" });
    seen.verified = [await viem.verifyMessage({ address: account.address, message: "hello inside", signature: seen.message }), await viem.recoverMessageAddress({ message: "other", signature: seen.message })];
    const typed = {
        domain: { name: "Test", version: "1", chainId: 1, verifyingContract: account.address },
        types: { Mail: [{ name: "to", type: "address" }, { name: "value", type: "uint256" }] },
        primaryType: "Mail", message: { to: account.address, value: 5n },
    };
    seen.typed = [await account.signTypedData(typed), viem.hashTypedData(typed)];
    const transaction = { chainId: 1, type: "eip1559", to: account.address, value: viem.parseEther("0.25"), nonce: 3, gas: 21000n, maxFeePerGas: 30n, maxPriorityFeePerGas: 1n };
    seen.transaction = await account.signTransaction(transaction);
    seen.parsed = viem.stringify(viem.parseTransaction(seen.transaction));
    const abi = viem.parseAbi(["function transfer(address to, uint256 value) returns (bool)", "event Transfer(address indexed from, address indexed to, uint256 value)", "error Broke(uint256 left)"]);
    seen.call = viem.encodeFunctionData({ abi, functionName: "transfer", args: [account.address, 5n] });
    seen.decoded = viem.stringify(viem.decodeFunctionData({ abi, data: seen.call }));
    seen.topics = viem.encodeEventTopics({ abi, eventName: "Transfer", args: { from: account.address } });
    seen.error = viem.stringify(viem.decodeErrorResult({ abi, data: viem.encodeErrorResult({ abi, errorName: "Broke", args: [9n] }) }));
    seen.hashes = [viem.keccak256("0x00"), viem.keccak256(viem.toBytes("x")), viem.sha256("0x00"), viem.getAddress(account.address.toLowerCase()), viem.isAddress("0x12")];
    seen.units = [viem.formatEther(123456789n), viem.formatUnits(15n, 1), viem.toHex("☂"), viem.fromRlp(viem.toRlp(["0x01", ["0x02"]]), "hex")];
    seen.random = privateKeyToAccount(generatePrivateKey()).address.length;
    // A client with another way out, as a plugin would make one with layer1.request.
    const asked = [];
    const client = viem.createPublicClient({
        chain: mainnet,
        transport: viem.custom({ async request({ method, params }) {
            asked.push([method, params]);
            if (method === "eth_blockNumber") return "0x10";
            if (method === "eth_call") return viem.encodeFunctionResult({ abi, functionName: "transfer", result: true });
            throw Object.assign(new Error("no " + method), { code: -32601 });
        } }, { retryCount: 0 }),
    });
    seen.block = String(await client.getBlockNumber());
    seen.read = (await client.simulateContract({ abi, address: account.address, functionName: "transfer", args: [account.address, 1n] })).result;
    seen.unknown = await outcome(() => client.getGasPrice());
    seen.asked = asked.map(([method]) => method);
    seen.refused = [await outcome(() => viem.getAddress("0x12")), await outcome(() => viem.encodeFunctionData({ abi, functionName: "none" }))];
    return seen;
}
