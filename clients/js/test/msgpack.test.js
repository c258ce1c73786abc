import assert from "node:assert/strict";
import { test } from "node:test";

import { decode, encode } from "../src/msgpack.js";

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const unhex = (text) => new Uint8Array(Buffer.from(text, "hex"));

test("what is sent is what the specification says", () => {
  const rows = [
    [null, "c0"], [false, "c2"], [true, "c3"], [0, "00"], [127, "7f"], [-1, "ff"], [-32, "e0"],
    [128, "d30000000000000080"], [-33, "d3ffffffffffffffdf"], [1.5, "cb3ff8000000000000"],
    [-0, "cb8000000000000000"], [2n ** 64n - 1n, "cfffffffffffffffff"], ["a", "a161"], ["\u00fc", "a2c3bc"],
    ["x".repeat(32), `d920${"78".repeat(32)}`], [new Uint8Array([1, 2]), "c4020102"], [[1, [2]], "9201" + "9102"],
    [{ a: 1, b: undefined }, "81a16101"], [new Map([[1, "x"]]), "8101a178"],
    [new Date(1500), "c70cff1dcd65000000000000000001"],
  ];
  for (const [value, said] of rows) assert.equal(hex(encode(value)), said);
});

test("what comes back is what was sent", () => {
  const long = "y".repeat(70_000);
  const values = [
    null, true, 0, -5, 2 ** 31, -(2 ** 40), 2n ** 60n, -(2n ** 63n), 0.25, Infinity, "", long, new Uint8Array(300),
    Array.from({ length: 70_000 }, (_, it) => it), { a: [{ b: "c" }], d: {} }, new Date(-1234),
    Object.fromEntries(Array.from({ length: 20 }, (_, it) => [`k${it}`, it])),
  ];
  for (const value of values) assert.deepEqual(decode(encode(value)), value);
});

test("every form of a number and a text is read, also those that are never written here", () => {
  const rows = [
    ["cc80", 128], ["cd0100", 256], ["ce00010000", 65536], ["cf0000000000000001", 1], ["d0df", -33], ["d1ff00", -256],
    ["d2ffff0000", -65536], ["ca3fc00000", 1.5], ["da0001" + "61", "a"], ["db00000001" + "61", "a"],
    ["dc0001" + "07", [7]], ["dd00000001" + "07", [7]], ["de0001" + "a16107", { a: 7 }], ["c5000107", new Uint8Array([7])],
    ["d6ff00000002", new Date(2000)], ["d4050a", { type: 5, bytes: new Uint8Array([10]) }],
  ];
  for (const [said, value] of rows) assert.deepEqual(decode(unhex(said)), value);
  assert.equal(decode(unhex("cfffffffffffffffff")), 2n ** 64n - 1n);
});

test("what is none, is cut off, goes on, or is too deep is refused", () => {
  for (const said of ["", "c1", "a2" + "61", "93" + "0101", "dd7fffffff", "0000", "c40500", "a1ff", "c703ff000000"]) {
    assert.throws(() => decode(unhex(said)), said);
  }
  assert.throws(() => decode(new Uint8Array(200).fill(0x91)), /deeper/);
  let deep = [];
  for (let it = 0; it < 200; it += 1) deep = [deep];
  assert.throws(() => encode(deep), /deeper/);
  assert.throws(() => encode(2n ** 64n), /64 bits/);
  assert.throws(() => encode(() => 1), TypeError);
  assert.throws(() => encode(new Set()), TypeError);
});
