// MessagePack, as operations' arguments and results travel: github.com/msgpack/msgpack, spec.md
//
// Whole numbers become integers and others floats; bigints have 64 bits; Uint8Array is binary; a Date is a timestamp;
// plain objects and Maps are maps.  What comes back is a number where that holds it exactly, else a bigint; maps become
// objects, or Maps where a key is no text.

const DEPTH_MAX = 100;
const TIMESTAMP = -1;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

class Writer {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** Room for so many bytes more; where they begin.  @param {number} count */
  #take(count) {
    const begin = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return begin;
  }

  /** @param {number} value */
  byte(value) {
    const at = this.#take(1);
    this.#view.setUint8(at, value);
  }

  /** @param {Uint8Array} bytes */
  bytes(bytes) {
    const at = this.#take(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** @param {number} count  @param {(view: DataView, at: number) => void} set */
  number(count, set) {
    const at = this.#take(count);
    set(this.#view, at);
  }

  get whole() {
    return this.#bytes.slice(0, this.#length);
  }
}

/** @param {Writer} to  @param {number} length  @param {number[]} marks  for 8, 16 and 32 bits */
function writeLength(to, length, [byte, word, long]) {
  if (byte && length < 1 << 8) {
    to.byte(byte);
    to.byte(length);
  } else if (length < 1 << 16) {
    to.byte(word);
    to.number(2, (view, at) => view.setUint16(at, length));
  } else {
    to.byte(long);
    to.number(4, (view, at) => view.setUint32(at, length));
  }
}

/** @param {Writer} to  @param {number | bigint} value */
function writeInteger(to, value) {
  if (value >= -32 && value < 128) {
    to.byte(Number(value) & 0xff);
  } else if (value >= -(2n ** 63n) && value < 2n ** 63n) {
    to.byte(0xd3);
    to.number(8, (view, at) => view.setBigInt64(at, BigInt(value)));
  } else if (value >= 0 && value < 2n ** 64n) {
    to.byte(0xcf);
    to.number(8, (view, at) => view.setBigUint64(at, BigInt(value)));
  } else {
    throw new RangeError(`${value} has more than 64 bits`);
  }
}

/** @param {Writer} to  @param {Date} date */
function writeDate(to, date) {
  const milliseconds = date.getTime();
  if (Number.isNaN(milliseconds)) throw new RangeError("the date is none");
  const seconds = Math.floor(milliseconds / 1000);
  to.byte(0xc7);
  to.byte(12);
  to.byte(TIMESTAMP & 0xff);
  to.number(4, (view, at) => view.setUint32(at, (milliseconds - seconds * 1000) * 1_000_000));
  to.number(8, (view, at) => view.setBigInt64(at, BigInt(seconds)));
}

/** @param {Writer} to  @param {unknown} value  @param {number} depth */
function write(to, value, depth) {
  if (depth > DEPTH_MAX) throw new RangeError(`what is sent is deeper than ${DEPTH_MAX}`);
  if (value === null || value === undefined) to.byte(0xc0);
  else if (typeof value === "boolean") to.byte(value ? 0xc3 : 0xc2);
  else if (typeof value === "bigint") writeInteger(to, value);
  else if (typeof value === "number") writeNumber(to, value);
  else if (typeof value === "string") writeText(to, value);
  else if (value instanceof Uint8Array) {
    writeLength(to, value.length, [0xc4, 0xc5, 0xc6]);
    to.bytes(value);
  } else if (value instanceof Date) writeDate(to, value);
  else if (Array.isArray(value)) {
    if (value.length < 16) to.byte(0x90 | value.length);
    else writeLength(to, value.length, [0, 0xdc, 0xdd]);
    for (const it of value) write(to, it, depth + 1);
  } else writeMap(to, value, depth);
}

/** @param {Writer} to  @param {number} value */
function writeNumber(to, value) {
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
    writeInteger(to, value);
    return;
  }
  to.byte(0xcb);
  to.number(8, (view, at) => view.setFloat64(at, value));
}

/** @param {Writer} to  @param {string} value */
function writeText(to, value) {
  const bytes = encoder.encode(value);
  if (bytes.length < 32) to.byte(0xa0 | bytes.length);
  else writeLength(to, bytes.length, [0xd9, 0xda, 0xdb]);
  to.bytes(bytes);
}

/** @param {Writer} to  @param {unknown} value  @param {number} depth */
function writeMap(to, value, depth) {
  const isPlain = typeof value === "object" && [Object.prototype, null].includes(Object.getPrototypeOf(value));
  if (!isPlain && !(value instanceof Map)) throw new TypeError(`a ${typeof value} like ${String(value)} cannot be sent`);
  const rows = value instanceof Map ? [...value] : Object.entries(/** @type {object} */ (value)).filter(([, it]) => it !== undefined);
  if (rows.length < 16) to.byte(0x80 | rows.length);
  else writeLength(to, rows.length, [0, 0xde, 0xdf]);
  for (const [key, it] of rows) {
    write(to, key, depth + 1);
    write(to, it, depth + 1);
  }
}

/**
 * @param {unknown} value
 * @returns {Uint8Array}
 * @throws {TypeError} it cannot be sent
 * @throws {RangeError} a number, or its depth, is too large
 */
export function encode(value) {
  const to = new Writer();
  write(to, value, 0);
  return to.whole;
}

class Reader {
  #bytes;
  #view;
  at = 0;

  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get left() {
    return this.#bytes.length - this.at;
  }

  /** @param {number} count  @param {(view: DataView, at: number) => any} get */
  number(count, get) {
    return get(this.#view, this.#skip(count));
  }

  /** @param {number} count */
  bytes(count) {
    const begin = this.#skip(count);
    return this.#bytes.slice(begin, begin + count);
  }

  /** @param {number} count */
  #skip(count) {
    if (count > this.left) throw new RangeError("what has come ends too early");
    this.at += count;
    return this.at - count;
  }
}

/** @param {Reader} from */
const byte = (from) => from.number(1, (view, at) => view.getUint8(at));
/** @param {Reader} from  @param {number} bits  8, 16 or 32 */
const unsigned = (from, bits) =>
  from.number(bits / 8, (view, at) => (bits === 8 ? view.getUint8(at) : bits === 16 ? view.getUint16(at) : view.getUint32(at)));
/** @param {Reader} from  @param {number} bits  8, 16 or 32 */
const signed = (from, bits) =>
  from.number(bits / 8, (view, at) => (bits === 8 ? view.getInt8(at) : bits === 16 ? view.getInt16(at) : view.getInt32(at)));
/** @param {bigint} value */
const narrow = (value) => (Number.isSafeInteger(Number(value)) ? Number(value) : value);

/** @param {Reader} from  @param {number} count  @param {number} depth */
function readArray(from, count, depth) {
  // Each has a byte at least: a length that is made up takes no memory.
  if (count > from.left) throw new RangeError("what has come ends too early");
  const found = [];
  for (let at = 0; at < count; at += 1) found.push(read(from, depth + 1));
  return found;
}

/** @param {Reader} from  @param {number} count  @param {number} depth */
function readMap(from, count, depth) {
  const flat = readArray(from, 2 * count, depth);
  const rows = Array.from({ length: count }, (_, it) => /** @type {[any, any]} */ ([flat[2 * it], flat[2 * it + 1]]));
  return rows.every(([key]) => typeof key === "string") ? Object.fromEntries(rows) : new Map(rows);
}

/** @param {Reader} from  @param {number} count */
function readExtension(from, count) {
  const type = signed(from, 8);
  const bytes = from.bytes(count);
  if (type !== TIMESTAMP) return { type, bytes };
  const view = new DataView(bytes.buffer);
  if (count === 4) return new Date(view.getUint32(0) * 1000);
  if (count === 8) {
    const both = view.getBigUint64(0);
    return new Date(Number(both & 0x3ffffffffn) * 1000 + Number(both >> 34n) / 1e6);
  }
  if (count !== 12) throw new RangeError(`a date has ${count} bytes`);
  return new Date(Number(view.getBigInt64(4)) * 1000 + view.getUint32(0) / 1e6);
}

/** @type {Record<number, (from: Reader, depth: number) => any>} */
const KINDS = {
  0xc0: () => null,
  0xc2: () => false,
  0xc3: () => true,
  0xca: (from) => from.number(4, (view, at) => view.getFloat32(at)),
  0xcb: (from) => from.number(8, (view, at) => view.getFloat64(at)),
  0xcc: (from) => unsigned(from, 8),
  0xcd: (from) => unsigned(from, 16),
  0xce: (from) => unsigned(from, 32),
  0xcf: (from) => narrow(from.number(8, (view, at) => view.getBigUint64(at))),
  0xd0: (from) => signed(from, 8),
  0xd1: (from) => signed(from, 16),
  0xd2: (from) => signed(from, 32),
  0xd3: (from) => narrow(from.number(8, (view, at) => view.getBigInt64(at))),
};
for (const [at, bits] of [8, 16, 32].entries()) {
  KINDS[0xc4 + at] = (from) => from.bytes(unsigned(from, bits));
  KINDS[0xc7 + at] = (from) => readExtension(from, unsigned(from, bits));
  KINDS[0xd9 + at] = (from) => decoder.decode(from.bytes(unsigned(from, bits)));
  if (bits === 8) continue;
  KINDS[0xdb + at] = (from, depth) => readArray(from, unsigned(from, bits), depth);
  KINDS[0xdd + at] = (from, depth) => readMap(from, unsigned(from, bits), depth);
}
for (let at = 0; at < 5; at += 1) KINDS[0xd4 + at] = (from) => readExtension(from, 1 << at);

/** @param {Reader} from  @param {number} depth  @returns {any} */
function read(from, depth) {
  if (depth > DEPTH_MAX) throw new RangeError(`what has come is deeper than ${DEPTH_MAX}`);
  const kind = byte(from);
  if (kind < 0x80) return kind;
  if (kind >= 0xe0) return kind - 0x100;
  if (kind < 0x90) return readMap(from, kind & 0x0f, depth);
  if (kind < 0xa0) return readArray(from, kind & 0x0f, depth);
  if (kind < 0xc0) return decoder.decode(from.bytes(kind & 0x1f));
  const found = KINDS[kind];
  if (!found) throw new RangeError(`the byte ${kind.toString(16)} begins nothing`);
  return found(from, depth);
}

/**
 * @param {Uint8Array} bytes
 * @returns {any}
 * @throws {RangeError | TypeError} they are not what `encode` makes
 */
export function decode(bytes) {
  const from = new Reader(bytes);
  const value = read(from, 0);
  if (from.left) throw new RangeError(`${from.left} bytes stand behind what has come`);
  return value;
}
