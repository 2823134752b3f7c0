import { HDKey } from "@scure/bip32";

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export function run() {
    const root = HDKey.fromMasterSeed(new Uint8Array(32).map((_, i) => i * 7));
    const child = root.derive("m/44'/60'/0'/0/7");
    const again = HDKey.fromExtendedKey(child.publicExtendedKey).deriveChild(3);
    const hash = new Uint8Array(32).fill(9);
    const signature = child.sign(hash);
    const seen = { root: root.privateExtendedKey, child: child.toJSON(), again: hex(again.publicKey), signature: hex(signature), verified: child.verify(hash, signature), fingerprint: child.fingerprint };
    try { again.deriveChild(2 ** 31); } catch (error) { seen.refused = [error.name, error.message]; }
    return seen;
}
