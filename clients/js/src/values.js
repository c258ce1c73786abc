// Bytes, text, base64 and numbers of 64 bits, as the gateway's JSON has them.

const encoder = new TextEncoder();
const decoder = new TextDecoder();
// What String.fromCharCode takes at once.
const PIECE = 0x8000;

/** @typedef {string | Uint8Array} Data  text stands for its UTF-8 */

/** @param {Data} data  @returns {Uint8Array} */
export function bytesOf(data) {
  if (typeof data === "string") return encoder.encode(data);
  if (data instanceof Uint8Array) return data;
  throw new TypeError("a key or a value is text or a Uint8Array");
}

/** @param {Uint8Array} bytes  @returns {string} */
export const textOf = (bytes) => decoder.decode(bytes);

/** @param {Data} data  @returns {string} */
export function toBase64(data) {
  const bytes = bytesOf(data);
  const pieces = [];
  for (let at = 0; at < bytes.length; at += PIECE) pieces.push(String.fromCharCode(...bytes.subarray(at, at + PIECE)));
  return btoa(pieces.join(""));
}

/** @param {string | undefined} text  @returns {Uint8Array} */
export function fromBase64(text) {
  return Uint8Array.from(atob(text ?? ""), (it) => it.charCodeAt(0));
}

/** A number of 64 bits; what is left out is 0.  @param {string | number | undefined} said  @returns {bigint} */
export const big = (said) => BigInt(said ?? 0);

/**
 * JSON whose whole numbers keep all their digits: those that a number cannot hold become bigints.
 * @param {string} text
 * @returns {any}
 */
export function parseExactly(text) {
  const marked = text.replace(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g, (it) =>
    /^-?\d{16,}$/.test(it) && !Number.isSafeInteger(Number(it)) ? `"\\u0000${it}"` : it,
  );
  return JSON.parse(marked, (_, it) => (typeof it === "string" && /^\0-?\d+$/.test(it) ? BigInt(it.slice(1)) : it));
}
