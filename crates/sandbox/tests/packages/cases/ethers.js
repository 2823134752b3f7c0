import { ethers } from "ethers";

const PHRASE = "test test test test test test test test test test test junk";
const outcome = async (work) => { try { return await work(); } catch (error) { return [error.name, error.code, error.shortMessage]; } };

export async function run() {
    const seen = { version: ethers.version };
    const wallet = ethers.HDNodeWallet.fromPhrase(PHRASE, undefined, "m/44'/60'/0'/0/1");
    seen.wallet = [wallet.address, wallet.publicKey, wallet.privateKey];
    seen.message = await wallet.signMessage("hello inside");
    seen.verified = ethers.verifyMessage("hello inside", seen.message);
    const types = { Mail: [{ name: "to", type: "address" }, { name: "value", type: "uint256" }, { name: "tags", type: "string[]" }] };
    const domain = { name: "Test", version: "1", chainId: 1, verifyingContract: wallet.address };
    const mail = { to: wallet.address, value: 10n ** 30n, tags: ["a", "☂"] };
    seen.typed = await wallet.signTypedData(domain, types, mail);
    seen.typedBy = ethers.verifyTypedData(domain, types, mail, seen.typed);
    seen.transaction = await wallet.signTransaction({ to: wallet.address, value: ethers.parseEther("0.25"), nonce: 3, gasLimit: 21000, maxFeePerGas: 30n * 10n ** 9n, maxPriorityFeePerGas: 10n ** 9n, chainId: 1, type: 2 });
    const parsed = ethers.Transaction.from(seen.transaction);
    seen.parsed = [parsed.from, parsed.hash, parsed.value.toString(), parsed.toJSON()];
    const face = new ethers.Interface([
        "function transfer(address to, uint256 value) returns (bool)",
        "event Transfer(address indexed from, address indexed to, uint256 value)",
        "error Broke(uint256 left, string why)",
        "function nested(tuple(uint8 a, bytes b, tuple(int256[2] c)[] d) x) view returns (string, bytes32)",
    ]);
    seen.call = face.encodeFunctionData("transfer", [wallet.address, 5n]);
    seen.decoded = face.decodeFunctionData("transfer", seen.call).toArray().map(String);
    seen.nested = face.encodeFunctionData("nested", [{ a: 7, b: "0x1234", d: [{ c: [-1n, 2n] }] }]);
    seen.format = face.format();
    const log = face.encodeEventLog("Transfer", [wallet.address, ethers.ZeroAddress, 77n]);
    seen.log = [log, face.parseLog(log).args.toArray().map(String)];
    seen.error = face.parseError(face.encodeErrorResult("Broke", [1n, "no money"])).args.toArray().map(String);
    seen.abi = ethers.AbiCoder.defaultAbiCoder().encode(["uint8[]", "(bool,string)"], [[1, 2], [true, "x"]]);
    seen.hashes = [ethers.keccak256("0x00"), ethers.id("x"), ethers.sha256("0x00"), ethers.ripemd160("0x00"), ethers.solidityPackedKeccak256(["uint8", "string"], [1, "a"]), ethers.namehash("vitalik.eth"), ethers.ensNormalize("NICK.eth")];
    seen.addresses = [ethers.getCreateAddress({ from: wallet.address, nonce: 1 }), ethers.getCreate2Address(wallet.address, ethers.id("salt"), ethers.id("code")), ethers.computeAddress(wallet.publicKey)];
    seen.units = [ethers.formatEther(123456789n), ethers.parseUnits("1.5", 9).toString(), ethers.FixedNumber.fromString("1.25").mul(ethers.FixedNumber.fromString("3")).toString()];
    seen.rlp = ethers.decodeRlp(ethers.encodeRlp(["0x01", ["0x1234", "0x"]]));
    seen.text = [ethers.toUtf8Bytes("☂").length, ethers.toUtf8String("0xe29882"), ethers.encodeBase58("0x1234"), ethers.encodeBase64("0x1234"), ethers.decodeBase64("EjQ=").length];
    const kept = await ethers.encryptKeystoreJson({ address: wallet.address, privateKey: wallet.privateKey }, "secret", { scrypt: { N: 16, r: 1, p: 1 } });
    seen.keystore = (await ethers.decryptKeystoreJson(kept, "secret")).address;
    const random = ethers.Wallet.createRandom();
    seen.random = [random.address.length, random.mnemonic.phrase.split(" ").length, ethers.uuidV4(ethers.randomBytes(16)).length];
    seen.refused = [await outcome(() => ethers.getAddress("0x12")), await outcome(() => ethers.parseEther("x")), await outcome(() => face.encodeFunctionData("transfer", [1]))];
    // A provider with another way out, as a plugin would make one with layer1.request.
    class Provider extends ethers.JsonRpcApiProvider {
        constructor() { super(new ethers.Network("test", 1), { staticNetwork: true, batchMaxCount: 1 }); }
        async _send(payload) {
            const one = Array.isArray(payload) ? payload[0] : payload;
            return [one.method === "eth_call" ? { id: one.id, result: ethers.AbiCoder.defaultAbiCoder().encode(["bool"], [true]) } : { id: one.id, error: { code: -32601, message: "no " + one.method } }];
        }
    }
    const provider = new Provider();
    provider._start();
    seen.contract = await new ethers.Contract(wallet.address, face, provider).transfer.staticCall(wallet.address, 1n);
    seen.unknown = await outcome(() => provider.getBlockNumber());
    provider.destroy();
    return seen;
}
