// A plugin that brings its own cryptography, as those for layer 2s with other curves do. Measured, not tested.
import { secp256k1, schnorr } from "@noble/curves/secp256k1.js";
import { ed25519 } from "@noble/curves/ed25519.js";
import { bls12_381 } from "@noble/curves/bls12-381.js";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { hmac } from "@noble/hashes/hmac.js";

const KEY = new Uint8Array(32).fill(0x46);
const HASH = sha256(KEY);
// When it is needed: a signature is blinded with randomness, and a script that computes with randomness while it is
// evaluated has no snapshot.
let signed;
const verifiable = () => (signed ??= [secp256k1.sign(HASH, KEY, { prehash: false }), HASH, secp256k1.getPublicKey(KEY)]);
const curves = { schnorr, ed25519, bls12_381, hmac };
const times = (n, work) => { let last; for (let i = 0; i < n; i++) last = work(i); return last; };

export default class {
    constructor() {
        const host = globalThis.crypto.eth;
        const actions = {
            first: () => Object.keys(curves).length + keccak_256(KEY).length,
            sign: (n) => times(n, () => secp256k1.sign(HASH, KEY, { prehash: false }).length),
            verify: (n) => { const given = verifiable(); return times(n, () => secp256k1.verify(...given, { prehash: false })); },
            keccak: ({ n, size }) => { const data = new Uint8Array(size).fill(7); return times(n, () => keccak_256(data).length); },
            sha: ({ n, size }) => { const data = new Uint8Array(size).fill(7); return times(n, () => sha256(data).length); },
            hostKeccak: ({ n, size }) => { const data = new Uint8Array(size).fill(7); return times(n, () => host.keccak256(data).length); },
            hostSha: ({ n, size }) => { const data = new Uint8Array(size).fill(7); return times(n, () => host.sha256(data).length); },
            hostRecover: ({ n, hash, signature }) => times(n, () => host.recover(hash, signature)),
            hostRecoverBatch: ({ n, hash, signature }) => host.recoverBatch(Array.from({ length: n }, () => ({ hash, signature }))).length,
        };
        this.layer2Interface = {
            actions: Object.entries(actions).map(([name, call]) => ({ name, call: ({ value }) => call(value), params: [] })),
            state: [],
        };
    }
}
