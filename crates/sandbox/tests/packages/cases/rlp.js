import RLP, { utils } from "rlp";

export function run() {
    const inputs = ["", "dog", 0, 15, 1024, 2n ** 70n, ["cat", ["dog", []]], new Uint8Array(60).fill(7), [null, undefined], "0x1234"];
    const seen = { encoded: inputs.map((input) => utils.bytesToHex(RLP.encode(input))) };
    seen.decoded = seen.encoded.map((text) => RLP.decode(utils.hexToBytes(text)));
    seen.stream = RLP.decode(new Uint8Array([1, 2, 3]), true);
    try { RLP.decode(new Uint8Array([0xb8, 0x01, 0x01])); } catch (error) { seen.refused = [error.name, error.message]; }
    return seen;
}
