// Keys: what is asked of them, and what transactions are made of.

import { big, bytesOf, fromBase64, textOf, toBase64 } from "./values.js";

/** @typedef {import("./values.js").Data} Data */

/** A key as it is, or was. */
export class Item {
  /** @param {any} said  a mvccpb.KeyValue of the gateway's */
  constructor(said) {
    /** @type {Uint8Array} */
    this.keyBytes = fromBase64(said.key);
    /** @type {Uint8Array} */
    this.value = fromBase64(said.value);
    /** @type {bigint} */
    this.createRevision = big(said.create_revision);
    /** @type {bigint} */
    this.modRevision = big(said.mod_revision);
    /** @type {bigint}  how often it was put since it was created */
    this.version = big(said.version);
    /** @type {bigint}  0n = none */
    this.lease = big(said.lease);
  }

  /** @returns {string} */
  get key() {
    return textOf(this.keyBytes);
  }

  /** @returns {string} */
  get text() {
    return textOf(this.value);
  }
}

/**
 * Where the keys end that begin with a prefix.
 * @param {Data} prefix
 * @returns {Uint8Array}  a single zero where they end with all keys
 */
export function prefixEnd(prefix) {
  const end = bytesOf(prefix).slice();
  for (let at = end.length - 1; at >= 0; at -= 1) {
    if (end[at] === 0xff) continue;
    end[at] += 1;
    return end.subarray(0, at + 1);
  }
  return new Uint8Array(1);
}

/**
 * @typedef {object} Span
 * @property {boolean} [prefix]  all keys that begin with it
 * @property {Data} [end]  all keys from it on, before that one
 */

/** The fields that say which keys are meant.  @param {Data} key  @param {Span} [span] */
export function rangeOf(key, { prefix, end } = {}) {
  if (prefix && end !== undefined) throw new TypeError("either `prefix` or `end`");
  const first = bytesOf(key);
  // No key is empty: all keys begin with a zero.
  const said = { key: toBase64(first.length ? first : new Uint8Array(1)) };
  if (prefix) return { ...said, range_end: toBase64(prefixEnd(first)) };
  return end === undefined ? said : { ...said, range_end: toBase64(end) };
}

/**
 * @typedef {Span & { revision?: bigint, limit?: number, serializable?: boolean, keysOnly?: boolean, countOnly?: boolean }} Reading
 * @typedef {{ lease?: bigint, prevKv?: boolean }} Putting
 * @typedef {Span & { prevKv?: boolean }} Deleting
 */

/** @param {Data} key  @param {Reading} [reading] */
export function readingOf(key, reading = {}) {
  const { revision, limit, serializable, keysOnly, countOnly } = reading;
  return {
    ...rangeOf(key, reading),
    revision: String(revision ?? 0),
    limit: String(limit ?? 0),
    serializable,
    keys_only: keysOnly,
    count_only: countOnly,
  };
}

/** @param {Data} key  @param {Data} value  @param {Putting} [putting] */
export function puttingOf(key, value, { lease, prevKv } = {}) {
  return { key: toBase64(key), value: toBase64(value), lease: String(lease ?? 0), prev_kv: prevKv };
}

/** @param {Data} key  @param {Deleting} [deleting] */
export function deletingOf(key, deleting = {}) {
  return { ...rangeOf(key, deleting), prev_kv: deleting.prevKv };
}

/** What a transaction does. */
export const op = Object.freeze({
  /** @param {Data} key  @param {Data} value  @param {Putting} [putting] */
  put: (key, value, putting) => ({ request_put: puttingOf(key, value, putting) }),
  /** @param {Data} key  @param {Reading} [reading] */
  get: (key, reading) => ({ request_range: readingOf(key, reading) }),
  /** @param {Data} key  @param {Deleting} [deleting] */
  delete: (key, deleting) => ({ request_delete_range: deletingOf(key, deleting) }),
});

/** @typedef {"=" | "!=" | "<" | ">"} Sign */
const SIGNS = { "=": "EQUAL", "!=": "NOT_EQUAL", "<": "LESS", ">": "GREATER" };

/** @param {string} target  @param {string} field  @param {(it: any) => string} say */
function comparing(target, field, say) {
  /** @param {Data} key  @param {Sign} sign  @param {any} value  @param {Span} [span]  all keys of a span must hold */
  return (key, sign, value, span) => {
    if (!(sign in SIGNS)) throw new TypeError(`${sign} compares nothing: = != < >`);
    return { ...rangeOf(key, span), target, result: SIGNS[sign], [field]: say(value) };
  };
}

/** What a transaction asks before it does anything; a key that is not there has version and revisions 0. */
export const compare = Object.freeze({
  value: comparing("VALUE", "value", toBase64),
  version: comparing("VERSION", "version", String),
  createRevision: comparing("CREATE", "create_revision", String),
  modRevision: comparing("MOD", "mod_revision", String),
  lease: comparing("LEASE", "lease", String),
});

/**
 * @typedef {object} Read
 * @property {Item[]} items
 * @property {number} count  how many there are, also beyond a limit
 * @property {boolean} more  whether a limit has left some out
 * @property {bigint} revision  of the store
 */

/** @param {any} said  a RangeResponse  @returns {Read} */
export function readOf(said) {
  return {
    items: (said.kvs ?? []).map((it) => new Item(it)),
    count: Number(said.count ?? 0),
    more: Boolean(said.more),
    revision: big(said.header?.revision),
  };
}

/** @param {any} said  a PutResponse */
export const putOf = (said) => ({
  revision: big(said.header?.revision),
  previous: said.prev_kv ? new Item(said.prev_kv) : null,
});

/** @param {any} said  a DeleteRangeResponse */
export const deletedOf = (said) => ({
  revision: big(said.header?.revision),
  count: Number(said.deleted ?? 0),
  previous: (said.prev_kvs ?? []).map((it) => new Item(it)),
});

/** What one step of a transaction came to.  @param {any} said  a ResponseOp */
export function stepOf(said) {
  if (said.response_range) return readOf(said.response_range);
  if (said.response_delete_range) return deletedOf(said.response_delete_range);
  return putOf(said.response_put ?? {});
}
