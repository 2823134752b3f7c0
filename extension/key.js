// The key of this browser profile: it cannot be exported, the browser keeps it, and the wallet knows its public half
// since the user typed the pairing code.

const DATABASE = "entresol";
const STORE = "keys";
const NAME = "bridge";

/** @typedef {{ pair: CryptoKeyPair, text: string }} ProfileKey */

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** @returns {Promise<IDBDatabase>} */
function database() {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  return done(request);
}

/** @param {Uint8Array | ArrayBuffer} bytes */
export function base64url(bytes) {
  const text = btoa(String.fromCharCode(...new Uint8Array(bytes)));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** @type {Promise<ProfileKey> | undefined} */
let known;

/**
 * The key, made at its first use. A second worker that makes one at the same time loses to what is stored.
 *
 * @returns {Promise<ProfileKey>}
 */
export function profileKey() {
  known ??= load().catch((error) => {
    known = undefined;
    throw error;
  });
  return known;
}

async function load() {
  const db = await database();
  const read = () => done(db.transaction(STORE).objectStore(STORE).get(NAME));
  /** @type {CryptoKeyPair | undefined} */
  let pair = await read();
  if (pair === undefined) {
    const made = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
    try {
      await done(db.transaction(STORE, "readwrite").objectStore(STORE).add(made, NAME));
      pair = made;
    } catch {
      pair = /** @type {CryptoKeyPair} */ (await read());
    }
  }
  db.close();
  return { pair, text: base64url(await crypto.subtle.exportKey("raw", pair.publicKey)) };
}

/**
 * The answer to a challenge.
 *
 * @param {string} nonce As the wallet wrote it.
 */
export async function answer(nonce) {
  const { pair, text } = await profileKey();
  const signed = new TextEncoder().encode(`entresol bridge 1\n${nonce}\n${text}`);
  const signature = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, pair.privateKey, signed);
  return { type: "hello", version: 1, key: text, signature: base64url(signature) };
}
