// keccak256 for the tests only: in the wallet the host does it.

const MASK = (1n << 64n) - 1n;
const rotate = (/** @type {bigint} */ lane, /** @type {number} */ by) => ((lane << BigInt(by)) | (lane >> BigInt(64 - by))) & MASK;

/** Round constants by the LFSR of FIPS 202, section 3.2.5. */
const CONSTANTS = (() => {
  const list = [];
  let register = 1;
  const bit = () => {
    const out = register & 1;
    register = register & 0x80 ? ((register << 1) ^ 0x171) & 0xff : (register << 1) & 0xff;
    return out;
  };
  for (let round = 0; round < 24; round++) {
    let constant = 0n;
    for (let j = 0; j < 7; j++) if (bit()) constant |= 1n << BigInt(2 ** j - 1);
    list.push(constant);
  }
  return list;
})();

/** @param {bigint[]} a 25 lanes, x + 5 y */
const permute = (a) => {
  for (const constant of CONSTANTS) {
    const c = [0, 1, 2, 3, 4].map((x) => a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20]);
    for (let i = 0; i < 25; i++) a[i] ^= c[(i + 4) % 5] ^ rotate(c[(i + 1) % 5], 1);
    let x = 1, y = 0, lane = a[1];
    for (let t = 0; t < 24; t++) {
      [x, y] = [y, (2 * x + 3 * y) % 5];
      const next = a[x + 5 * y];
      a[x + 5 * y] = rotate(lane, (((t + 1) * (t + 2)) / 2) % 64);
      lane = next;
    }
    for (let row = 0; row < 25; row += 5) {
      const b = a.slice(row, row + 5);
      for (let i = 0; i < 5; i++) a[row + i] = b[i] ^ (~b[(i + 1) % 5] & MASK & b[(i + 2) % 5]);
    }
    a[0] ^= constant;
  }
};

/** @param {Uint8Array} bytes @returns {Uint8Array} */
export const keccak256 = (bytes) => {
  const rate = 136;
  const padded = new Uint8Array((Math.floor(bytes.length / rate) + 1) * rate);
  padded.set(bytes);
  padded[bytes.length] ^= 1;
  padded[padded.length - 1] ^= 0x80;
  const lanes = Array(25).fill(0n);
  for (let at = 0; at < padded.length; at += rate) {
    const view = new DataView(padded.buffer, at, rate);
    for (let i = 0; i < rate / 8; i++) lanes[i] ^= view.getBigUint64(8 * i, true);
    permute(lanes);
  }
  const out = new Uint8Array(32);
  for (let i = 0; i < 4; i++) new DataView(out.buffer).setBigUint64(8 * i, lanes[i], true);
  return out;
};
