import assert from "node:assert/strict";
import { test } from "node:test";

import { compare, op, prefixEnd } from "../src/index.js";
import { events, lines } from "../src/streams.js";
import { fromBase64, parseExactly, toBase64 } from "../src/values.js";

const streamOf = (...pieces) => ReadableStream.from(pieces.map((it) => new TextEncoder().encode(it)));

async function all(generator) {
  const found = [];
  for await (const it of generator) found.push(it);
  return found;
}

test("lines are whole, however they come, and what has no end is none", async () => {
  assert.deepEqual(await all(lines(streamOf("a\nb", "c\r\n", "\nrest"))), ["a", "bc", ""]);
  const bytes = new TextEncoder().encode("\u00fc\n");
  assert.deepEqual(await all(lines(ReadableStream.from([bytes.slice(0, 1), bytes.slice(1)]))), ["\u00fc"]);
});

test("events have kinds, ids and data of several lines; comments are none", async () => {
  const said = await all(events(streamOf(": hi\n\nid: 7\ndata: a\nda", "ta: b\n\nevent: missed\ndata:{}\n\ndata: left"), "3"));
  assert.deepEqual(said, [
    { kind: "message", data: "a\nb", id: "7" },
    { kind: "missed", data: "{}", id: "7" },
  ]);
});

test("numbers keep their digits, and texts stay texts", () => {
  const said = parseExactly('{"a": 9007199254740993, "b": -5, "c": 1.25, "d": "9007199254740993", "e\\"9": [18446744073709551616]}');
  assert.deepEqual(said, { a: 9007199254740993n, b: -5, c: 1.25, d: "9007199254740993", 'e"9': [18446744073709551616n] });
});

test("bytes of any size come through base64", () => {
  const bytes = Uint8Array.from({ length: 100_000 }, (_, it) => it % 256);
  assert.deepEqual(fromBase64(toBase64(bytes)), bytes);
  assert.equal(toBase64("\u00fc"), "w7w=");
});

test("a prefix ends before what follows it", () => {
  assert.deepEqual([...prefixEnd("ab")], [97, 99]);
  assert.deepEqual([...prefixEnd(new Uint8Array([1, 255, 255]))], [2]);
  assert.deepEqual([...prefixEnd(new Uint8Array([255]))], [0]);
});

test("what asks for nothing that there is, is refused before it is sent", () => {
  assert.throws(() => compare.value("a", "~", "b"), TypeError);
  assert.throws(() => op.get("a", { prefix: true, end: "b" }), TypeError);
  assert.throws(() => op.put(5, "b"), TypeError);
});
