import { sha256, sha512, sha384 } from "@noble/hashes/sha2.js";
import { keccak_256, sha3_256, shake256 } from "@noble/hashes/sha3.js";
import { blake2b } from "@noble/hashes/blake2.js";
import { blake3 } from "@noble/hashes/blake3.js";
import { ripemd160 } from "@noble/hashes/legacy.js";
import { hmac } from "@noble/hashes/hmac.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { pbkdf2, pbkdf2Async } from "@noble/hashes/pbkdf2.js";
import { scrypt, scryptAsync } from "@noble/hashes/scrypt.js";
import { argon2id } from "@noble/hashes/argon2.js";
import { bytesToHex, randomBytes, utf8ToBytes } from "@noble/hashes/utils.js";

export async function run() {
    const seen = {};
    const inputs = [new Uint8Array(0), utf8ToBytes("aé☂𝄞"), new Uint8Array(1000).map((_, i) => i)];
    for (const [name, hash] of Object.entries({ sha256, sha384, sha512, keccak_256, sha3_256, blake2b, blake3, ripemd160 })) {
        seen[name] = inputs.map((input) => bytesToHex(hash(input)));
    }
    seen.shake = bytesToHex(shake256(inputs[1], { dkLen: 70 }));
    const streamed = sha256.create();
    for (const input of inputs) streamed.update(input);
    seen.streamed = bytesToHex(streamed.clone().digest());
    seen.hmac = bytesToHex(hmac(sha256, inputs[1], inputs[2]));
    seen.hkdf = bytesToHex(hkdf(sha256, inputs[2], inputs[1], undefined, 42));
    seen.pbkdf2 = [bytesToHex(pbkdf2(sha256, "password", "salt", { c: 32, dkLen: 32 })), bytesToHex(await pbkdf2Async(sha512, "password", "salt", { c: 20, asyncTick: 1 }))];
    seen.scrypt = [bytesToHex(scrypt("password", "salt", { N: 16, r: 1, p: 1, dkLen: 32 })), bytesToHex(await scryptAsync("password", "salt", { N: 16, r: 1, p: 1, dkLen: 32, asyncTick: 1 }))];
    seen.argon = bytesToHex(argon2id("password", "saltsalt", { t: 1, m: 32, p: 1 }));
    seen.random = [randomBytes(24).length, new Set(randomBytes(64)).size > 16];
    try { sha256("text"); } catch (error) { seen.refused = [error.name, error.message]; }
    return seen;
}
