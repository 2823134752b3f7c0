// Signing and recovery for the tests only: in the wallet the host does it. Plain and slow, after SEC 1, section 4.1.
import { keccak256 } from "./keccak.js";

const P = 2n ** 256n - 2n ** 32n - 977n;
const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const G = [0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798n, 0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8n];

const mod = (/** @type {bigint} */ a, m = P) => ((a % m) + m) % m;
const power = (/** @type {bigint} */ base, /** @type {bigint} */ exponent, m = P) => {
  let result = 1n;
  for (let b = mod(base, m), e = exponent; e > 0n; e >>= 1n, b = (b * b) % m) if (e & 1n) result = (result * b) % m;
  return result;
};
const inverse = (/** @type {bigint} */ a, m = P) => power(a, m - 2n, m);

/** @param {bigint[] | null} a @param {bigint[] | null} b */
const plus = (a, b) => {
  if (!a || !b) return a ?? b;
  if (a[0] === b[0] && mod(a[1] + b[1]) === 0n) return null;
  const slope = a[0] === b[0] ? mod(3n * a[0] * a[0] * inverse(2n * a[1])) : mod((b[1] - a[1]) * inverse(b[0] - a[0]));
  const x = mod(slope * slope - a[0] - b[0]);
  return [x, mod(slope * (a[0] - x) - a[1])];
};
/** @param {bigint[] | null} point @param {bigint} k */
const times = (point, k) => {
  let sum = null;
  for (let p = point, e = k; e > 0n; e >>= 1n, p = plus(p, p)) if (e & 1n) sum = plus(sum, p);
  return sum;
};
const hex = (/** @type {bigint} */ n) => n.toString(16).padStart(64, "0");

/** @param {bigint[] | null} point */
const addressOf = (point) => {
  if (!point) throw new Error("no public key");
  const hash = Buffer.from(keccak256(Uint8Array.from(Buffer.from(hex(point[0]) + hex(point[1]), "hex")))).toString("hex");
  return "0x" + hash.slice(24);
};

/** @param {bigint} key */
export const address = (key) => addressOf(times(G, key));

/** With a low s, as the protocol wants it. The nonce is derived from both; good enough where the key is no secret. @param {string} digest @param {bigint} key */
export const sign = (digest, key) => {
  const k = mod(BigInt("0x" + Buffer.from(keccak256(new TextEncoder().encode(digest + key))).toString("hex")), N);
  const point = times(G, k);
  if (!point) throw new Error("no signature");
  const r = mod(point[0], N);
  const s = mod(inverse(k, N) * (BigInt(digest) + r * key), N);
  const odd = point[1] & 1n;
  return s > N / 2n ? "0x" + hex(r) + hex(N - s) + (odd ? "1b" : "1c") : "0x" + hex(r) + hex(s) + (odd ? "1c" : "1b");
};

/** @param {string} digest @param {string} signature 65 bytes, 0x-hex */
export const recover = (digest, signature) => {
  const [r, s, v] = [signature.slice(2, 66), signature.slice(66, 130), signature.slice(130)].map((part) => BigInt("0x" + part));
  const square = mod(r ** 3n + 7n);
  let y = power(square, (P + 1n) / 4n);
  if (mod(y * y) !== square) throw new Error("not on the curve");
  if ((y & 1n) !== v - 27n) y = P - y;
  const half = inverse(r, N);
  return addressOf(plus(times([r, y], mod(s * half, N)), times(G, mod(-BigInt(digest) * half, N))));
};
