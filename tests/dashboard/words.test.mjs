// What of the page touches no page: bytes, words, differences, scales, and how keys are paged.

import assert from "node:assert/strict";
import { test } from "node:test";

const at = (name) => import(new URL(`../../src/roost/dashboard/static/${name}`, import.meta.url));
const words = await at("words.js");
const scale = await at("scale.js");
const { pageOf, versions } = await at("rooms/keys.js");
const leases = await at("rooms/leases.js");
const { covers, rangeText } = await at("rooms/users.js");
const { protocolsOf, servicesOf } = await at("endpoints.js");
const { linesOf, queryOf } = await at("queries.js");
const { progressText } = await at("progress.js");

const bytes = (...them) => Uint8Array.from(them);

test("numbers, sizes and times are short", () => {
  assert.equal(words.bytesText(1536), "1.5 KiB");
  assert.equal(words.bytesText("1073741824"), "1.0 GiB");
  assert.equal(words.journalText({ first_index: 3, last_index: 5, journal_bytes: 1 << 24 }), "16.0 MiB, 3 entries");
  assert.equal(words.journalText({ first_index: 3, last_index: 5, journal_bytes: 0 }), "3 entries");
  assert.equal(words.numberText(12345.6), "12,346");
  assert.equal(words.numberText(0.01234), "0.0123");
  assert.equal(words.numberText(null), "–");
  assert.equal(words.durationText(93784), "1 d 2 h");
  assert.equal(words.durationText(0.25), "250 ms");
  assert.equal(words.numberOf("ffffffffffffffff"), "18446744073709551615");
});

test("a place in a line is a key that ends with its lease", () => {
  assert.deepEqual(leases.linesOf(["a/b/1f", "c/2f", "1f", "/1f", "d/11f"], "31"), ["a/b"]);
});

test("what is counted has one or many, and an axis says the day where it is not all of today", () => {
  assert.equal(words.countText(1, "lease is", "leases are"), "1 lease is");
  assert.equal(words.countText("2000", "key"), "2,000 keys");
  const at = (...them) => new Date(2026, 10, ...them) / 1000, now = new Date(2026, 10, 28, 12);
  assert.equal(words.axisText(at(28, 9, 30, 5), at(28, 9), at(28, 10), now), "09:30:05");
  assert.equal(words.axisText(at(27, 9, 30, 5), at(27, 9), at(28, 10), now), "2026-11-27 09:30");
  assert.equal(words.axisText(at(27, 9, 30, 5), at(27, 9, 30), at(27, 9, 31), now), "2026-11-27 09:30:05");
});

test("bytes go to base64 and back, all of them", () => {
  const all = Uint8Array.from({ length: 70_000 }, (_, it) => it % 256);
  assert.deepEqual(words.fromBase64(words.toBase64(all)), all);
  assert.deepEqual(words.fromBase64(undefined), bytes());
  assert.equal(words.toBase64("ä"), "w6Q=");
});

test("what is no text is shown as bytes", () => {
  assert.equal(words.textOf(bytes(0xff)), null);
  assert.equal(words.textOf(bytes(0)), null);
  assert.equal(words.textOf(bytes(0xc3, 0xa4, 0x0a)), "ä\n");
  assert.equal(words.keyText(bytes(0x61, 0xff)), "a\\xff");
  assert.equal(words.valueText(words.bytesOf('{"a":1}'), "json"), '{\n  "a": 1\n}');
  assert.equal(words.valueText(words.bytesOf("12"), "json"), null);
  assert.match(words.hexText(words.bytesOf("hello")), /^00000000 {2}68 65 6c 6c 6f .*hello$/);
});

test("a prefix ends where the next one begins", () => {
  assert.deepEqual(words.prefixEnd(bytes(1, 2)), bytes(1, 3));
  assert.deepEqual(words.prefixEnd(bytes(1, 0xff)), bytes(2));
  assert.deepEqual(words.prefixEnd(bytes(0xff, 0xff)), bytes(0));
  assert.ok(words.compareBytes(bytes(1), bytes(1, 0)) < 0);
});

test("a shell takes what it is shown", () => {
  assert.equal(words.shellText("a/b-c"), "a/b-c");
  assert.equal(words.shellText("it's $x"), "'it'\\''s $x'");
});

test("differences are lines that went and came", () => {
  assert.deepEqual(words.differences("a\nb\nc", "a\nx\nc"), [[" ", "a"], ["-", "b"], ["+", "x"], [" ", "c"]]);
  assert.deepEqual(words.differences("a", "a"), [[" ", "a"]]);
  const long = Array.from({ length: 2000 }, (_, it) => `line ${it}`);
  const other = long.map((it) => `${it}!`);
  assert.equal(words.differences(long.join("\n"), other.join("\n")).length, 4000);
});

test("a difference makes the one of the other, whatever they are", () => {
  let seed = 20;
  const dice = (n) => (seed = (seed * 1103515245 + 12345) % 2 ** 31) % n;
  for (let round = 0; round < 200; round += 1) {
    const made = () => Array.from({ length: 1 + dice(8) }, () => "abc"[dice(3)]).join("\n");
    const [before, after] = [made(), made()];
    const found = words.differences(before, after);
    assert.equal(found.filter(([it]) => it !== "+").map(([, it]) => it).join("\n"), before);
    assert.equal(found.filter(([it]) => it !== "-").map(([, it]) => it).join("\n"), after);
  }
});

test("ticks are round and hold all of it between them", () => {
  for (const [least, most] of [[0, 1], [0, 0], [-3, 17], [1e-7, 3e-7], [0, 123456]]) {
    const found = scale.ticks(least, most);
    assert.ok(found[0] <= least && found[found.length - 1] >= most, `${least} ${most} ${found}`);
    assert.ok(found.length >= 2 && found.length <= 8, String(found));
  }
});

test("a line of many points keeps what can be seen of it", () => {
  const points = Array.from({ length: 100_000 }, (_, it) => [it, it === 77_777 ? 9 : it === 5 ? -9 : 0]);
  const found = scale.reduced(points, 300);
  assert.ok(found.length <= 1200);
  assert.ok(found.some((it) => it[1] === 9) && found.some((it) => it[1] === -9));
  assert.deepEqual([found[0], found[found.length - 1]], [points[0], points[99_999]]);
});

test("a rate is none where something began again", () => {
  assert.equal(scale.rate(10, 30, 2), 10);
  assert.equal(scale.rate(30, 10, 2), null);
  const history = new scale.History(3);
  for (let it = 0; it < 5; it += 1) history.add(it, it);
  assert.deepEqual(history.points.map(([time]) => time), [2, 3, 4]);
});

/** Keys in memory, asked for as the gateway is. */
function store(keys) {
  const held = keys.map(words.bytesOf).sort(words.compareBytes);
  const asked = [];
  const ask = async (first, end, limit) => {
    asked.push(first);
    const isOpen = end.length === 1 && end[0] === 0;
    const found = held.filter((it) => words.compareBytes(it, first) >= 0 && (isOpen || words.compareBytes(it, end) < 0));
    return { keys: found.slice(0, limit), more: found.length > limit };
  };
  return { ask, asked };
}

const shown = (rows) => rows.map((it) => words.keyText(it.folder ?? it.key) + (it.folder ? "…" : ""));

test("a folder is one row, and is jumped over", async () => {
  const many = Array.from({ length: 5000 }, (_, it) => `a/${String(it).padStart(5, "0")}`);
  const { ask, asked } = store([...many, "a", "b", "c/d/e"]);
  const { rows, next } = await pageOf(bytes(), bytes(0), ask);
  assert.deepEqual(shown(rows), ["a", "a/…", "b", "c/…"]);
  assert.equal(next, null);
  assert.equal(asked.length, 2);
});

test("a path that begins with a slash opens at its first name", async () => {
  const { ask } = store(["/registry/pods/a", "/registry/pods/b", "/x"]);
  const top = await pageOf(bytes(), bytes(0), ask);
  assert.deepEqual(shown(top.rows), ["/registry/…", "/x"]);
  const prefix = words.bytesOf("/registry/");
  assert.deepEqual(shown((await pageOf(prefix, prefix, ask)).rows), ["/registry/pods/…"]);
});

test("pages follow each other, and each key is on one of them", async () => {
  const keys = Array.from({ length: 730 }, (_, it) => `k${String(it).padStart(4, "0")}`);
  const { ask } = store([...keys, "z/1", "z/2"]);
  const found = [];
  let next = bytes(0);
  while (next !== null) {
    const page = await pageOf(bytes(), next, ask);
    assert.ok(page.rows.length <= 100);
    found.push(...shown(page.rows));
    next = page.next;
  }
  assert.deepEqual(found, [...keys, "z/…"]);
});

test("older versions follow each other to the first", async () => {
  const kvs = { 3: { mod_revision: "3", version: "1" }, 5: { mod_revision: "5", version: "2" }, 9: { mod_revision: "9", version: "3" } };
  const ask = async (revision) => kvs[Math.max(...Object.keys(kvs).map(Number).filter((it) => it <= Number(revision)))];
  const found = [];
  for await (const { newer, older } of versions(kvs[9], ask)) found.push([newer.mod_revision, older.mod_revision]);
  assert.deepEqual(found, [["9", "5"], ["5", "3"]]);
});

test("permissions are of a key, a prefix, a range or all", () => {
  const all = { permType: "READWRITE", key: words.toBase64(bytes(0)), range_end: words.toBase64(bytes(0)) };
  const prefix = { key: words.toBase64("a/"), range_end: words.toBase64("a0") };
  const one = { permType: "WRITE", key: words.toBase64("k") };
  const key = words.bytesOf;
  assert.ok(covers(all, key("anything"), "READ") && covers(all, key("x"), "WRITE"));
  assert.ok(covers(prefix, key("a/b"), "READ") && !covers(prefix, key("a/b"), "WRITE") && !covers(prefix, key("a0"), "READ"));
  assert.ok(covers(one, key("k"), "WRITE") && !covers(one, key("k"), "READ") && !covers(one, key("k2"), "WRITE"));
  assert.equal(rangeText(bytes(0), bytes(0)), "all keys");
  assert.equal(rangeText(key("a/"), key("a0")), "a/…");
  assert.equal(rangeText(key("k"), bytes()), "k");
});

test("a graph asks for what it can show", () => {
  const asked = queryOf({ names: ["a", "b"], tag: "", from: 0, to: 60, window: "auto", zone: "UTC", aggregates: ["mean", "min", "max"] }, 300);
  assert.equal(asked.get("points"), "300");
  assert.deepEqual(asked.getAll("name"), ["a", "b"]);
  assert.equal(asked.get("start"), "1970-01-01T00:00:00.000Z");
  const answer = { series: [{ name: "a", columns: ["time", "mean", "min", "max"], rows: [[1000, 2, 1, 3]] }] };
  assert.deepEqual(linesOf(answer, ["mean"]), [{ name: "a", points: [[1, 2, 1, 3]] }]);
  assert.deepEqual(linesOf(answer, ["mean", "max"]), [{ name: "a mean", points: [[1, 2, 1, 3]] }, { name: "a max", points: [[1, 3]] }]);
  const raw = { series: [{ name: "a", columns: ["time", "value"], rows: [[1000, 2]] }] };
  assert.deepEqual(linesOf(raw, ["mean", "max"]), [{ name: "a", points: [[1, 2]] }]);
  assert.deepEqual(linesOf(raw, ["mean"]), [{ name: "a", points: [[1, 2]] }]);
});

test("what a member answers is listed by protocols, each path once", () => {
  const described = {
    tags: [{ name: "Counters", description: "Numbers." }, { name: "Nothing", description: "" }],
    paths: {
      "/counters": { get: { tags: ["Counters"], summary: "A page.", parameters: [{ name: "prefix" }, { name: "limit" }] } },
      "/v3beta/kv": { $ref: "#/paths/~1counters" },
      "/counters/{name}": { delete: { tags: ["Counters"], summary: "Delete." } },
    },
    "x-grpc-services": { "roost.Counters": ["Read", "Watch"] },
  };
  const [counters, nothing] = protocolsOf(described);
  assert.deepEqual(counters.rows, [["GET", "/counters", "prefix, limit", "A page."], ["DELETE", "/counters/{name}", "", "Delete."]]);
  assert.deepEqual(nothing, { name: "Nothing", text: "", rows: [] });
  assert.deepEqual(servicesOf(described), [["roost.Counters", "Read, Watch"]]);
});

test("how far something is has a phase, a rate and the time left", () => {
  const kib = { phase: "copying", done: 512, total: 2048, seconds: 2 };
  assert.equal(progressText(kib), "copying, 512 B of 2.0 KiB, 256 B/s, 6 s left");
  assert.equal(progressText({ ...kib, done: 4096 }), "copying, 4.0 KiB of 2.0 KiB, 2.0 KiB/s");
  assert.equal(progressText({ phase: "removing", done: 1200, share: 0.25, unit: "revisions", seconds: 3 }),
    "removing, 1,200 revisions, 25 %, 400 revisions/s, 9 s left");
  assert.equal(progressText({ phase: "asking", seconds: 5 }), "asking, 5 s so far");
  assert.equal(progressText({ phase: "beginning", done: 0, share: 0, unit: "parts", seconds: 0 }), "beginning, 0 parts, 0 %");
});

test("a page of a hundred thousand keys is one question, and has a hundred rows", async () => {
  const keys = Array.from({ length: 100_000 }, (_, it) => words.bytesOf(`k${String(it).padStart(6, "0")}`));
  const asked = [];
  const ask = async (first, end, limit) => {
    const from = keys.findIndex((it) => words.compareBytes(it, first) >= 0);
    asked.push(limit);
    return { keys: keys.slice(from, from + limit), more: from + limit < keys.length };
  };
  let next = words.bytesOf("k");
  for (let count = 1; count <= 3; count += 1) {
    const found = await pageOf(words.bytesOf("k"), next, ask);
    assert.equal(found.rows.length, 100);
    assert.equal(asked.length, count);
    next = found.next;
  }
  assert.deepEqual(new Set(asked), new Set([200]));
});

test("an address with a broken escape is an address", () => {
  assert.deepEqual(["a%2Fb", "%E0%A4", "100%", ""].map(words.pieceOf), ["a/b", "%E0%A4", "100%", ""]);
});
