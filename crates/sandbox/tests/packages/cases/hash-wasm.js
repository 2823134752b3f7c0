// Hash functions with cores in WebAssembly, compiled when they are first used; the package has no fallback.
import { argon2id, blake2b, blake3, createBLAKE3, createSHA256, crc32, keccak, md5, ripemd160, scrypt, sha256, sha512, xxhash128 } from "hash-wasm";

export async function run() {
    const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => (i * 7 + (i >> 8)) & 255);
    const seen = {};
    for (const [name, hash] of Object.entries({ blake2b, blake3, crc32, keccak, md5, ripemd160, sha256, sha512, xxhash128 })) {
        seen[name] = [await hash(""), await hash("aé☂𝄞"), await hash(bytes), await hash(bytes.subarray(1, 8))];
    }
    const hasher = await createSHA256();
    hasher.init();
    for (let at = 0; at < bytes.length; at += 3333) hasher.update(bytes.subarray(at, at + 3333));
    const saved = hasher.save();
    seen.pieces = hasher.digest();
    hasher.load(saved);
    seen.resumed = hasher.update("more").digest();
    const several = await Promise.all([createBLAKE3(), createBLAKE3(256, bytes.subarray(0, 32))]);
    seen.several = several.map((one) => one.init().update(bytes).digest("hex"));
    seen.argon2id = await argon2id({ password: "word", salt: bytes.subarray(0, 16), parallelism: 2, iterations: 2, memorySize: 256, hashLength: 24, outputType: "encoded" });
    seen.scrypt = await scrypt({ password: "word", salt: "salt and more", costFactor: 256, blockSize: 8, parallelism: 1, hashLength: 32 });
    try { await argon2id({ password: "word", salt: "short" }); } catch (error) { seen.refused = error.message; }
    return seen;
}
