import { secp256k1, schnorr } from "@noble/curves/secp256k1.js";
import { ed25519, x25519 } from "@noble/curves/ed25519.js";
import { p256 } from "@noble/curves/nist.js";
import { bls12_381 } from "@noble/curves/bls12-381.js";
import { bytesToHex, hexToBytes } from "@noble/curves/utils.js";

export function run() {
    const key = hexToBytes("46".repeat(32));
    const message = new TextEncoder().encode("signed inside");
    const seen = { version: "2" };
    for (const [name, curve] of Object.entries({ secp256k1, p256, schnorr: { ...schnorr, sign: (m, k) => schnorr.sign(m, k, new Uint8Array(32)) }, ed25519 })) {
        const publicKey = curve.getPublicKey(key);
        const signature = curve.sign(message, key);
        seen[name] = [bytesToHex(publicKey), bytesToHex(signature), curve.verify(signature, message, publicKey), curve.verify(signature, new Uint8Array(5), publicKey)];
    }
    const recovered = secp256k1.sign(message, key, { format: "recovered" });
    seen.recovered = bytesToHex(secp256k1.recoverPublicKey(recovered, message));
    seen.shared = [bytesToHex(secp256k1.getSharedSecret(key, secp256k1.getPublicKey(hexToBytes("47".repeat(32))))), bytesToHex(x25519.scalarMultBase(key))];
    seen.point = secp256k1.Point.BASE.multiply(123456789n).toHex();
    seen.bls = bytesToHex(bls12_381.longSignatures.getPublicKey(key).toBytes());
    const made = secp256k1.keygen();
    seen.random = [made.secretKey.length, secp256k1.utils.isValidSecretKey(made.secretKey), secp256k1.verify(secp256k1.sign(message, made.secretKey), message, made.publicKey)];
    try { secp256k1.sign("no bytes", key); } catch (error) { seen.refused = [error.name, error.message]; }
    return seen;
}
