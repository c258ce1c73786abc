// What rooms do when answers come late: in a document of a few lines, where the test answers.

import { after, test } from "node:test";
import assert from "node:assert/strict";

const STATIC = new URL("../../src/roost/dashboard/static", import.meta.url);

class El extends EventTarget {
  constructor(name) {
    super();
    Object.assign(this, { nodeName: name.toUpperCase(), kids: [], attrs: {}, disabled: false, value: "" });
  }

  append(...it) { this.kids.push(...it); }
  replaceChildren(...it) { this.kids = it; }
  setAttribute(k, v) { this.attrs[k] = v; }
  cloneNode() { return new El(this.nodeName); }
  isEqualNode() { return false; }
  get childNodes() { return this.kids; }
  replaceWith() {}
  remove() {}
  showModal() {}
  close() {}
  get text() { return this.kids.map((it) => (it instanceof El ? it.text : String(it))).join(" "); }
  all() { return [this, ...this.kids.flatMap((it) => (it instanceof El ? it.all() : []))]; }
  press(label) {
    const found = this.all().filter((it) => it.nodeName === "BUTTON" && (it.attrs["aria-label"] ?? it.text) === label);
    assert.ok(found.length, label);
    found.at(-1).dispatchEvent(new Event("click"));
  }
}
globalThis.Node = { ELEMENT_NODE: 1 };
const said = new El("p");
globalThis.document = { createElement: (n) => new El(n), getElementById: () => said, body: new El("body") };
globalThis.location = { origin: "http://m", href: "http://m/dashboard/" };
const asked = [];
globalThis.fetch = (url, options = {}) => new Promise((resolve, reject) => {
  options.signal?.addEventListener("abort", () => reject(new DOMException("x", "AbortError")));
  asked.push({ url: String(url), body: options.body, answer: (it) => resolve(new Response(JSON.stringify(it), { status: 200 })) });
});
const settle = () => new Promise((r) => setTimeout(r, 20));
const wait = async (what) => {
  for (let tries = 0; tries < 500; tries += 1) {
    const at = asked.findIndex(what);
    if (at >= 0) return asked.splice(at, 1)[0];
    await settle();
  }
  throw new Error(`never asked; ${JSON.stringify(asked)}`);
};

test("rows of the tree asked for last are shown", async () => {
  const { treesCard } = await import(`${STATIC}/trees.js`);
  const card = treesCard(new AbortController().signal);
  (await wait((it) => it.url.includes("/trees?"))).answer({ trees: [{ name: "one" }, { name: "two" }], after: "" });
  await settle();
  card.press("Rows of one");
  const first = await wait((it) => String(it.body).includes("one"));
  card.press("Rows of two");
  const second = await wait((it) => String(it.body).includes("two"));
  second.answer({ rows: [{ key: "k2", value: "v", key_bytes: 2, value_bytes: 1 }], rest: "" });
  await settle();
  first.answer({ rows: [{ key: "k1", value: "v", key_bytes: 2, value_bytes: 1 }], rest: "" });
  await settle();
  const rows = card.all().find((it) => it.attrs.id === "rows").text;
  assert.match(rows, /k2/);
});

test("whoever leaves Counters before its list is there asks no more", async () => {
  const { open } = await import(`${STATIC}/rooms/counters.js`);
  const place = new El("main"), leaving = new AbortController();
  const intervals = [], was = globalThis.setInterval;
  globalThis.setInterval = (...it) => { intervals.push(it); return 1; };
  const opening = open(place, { signal: leaving.signal });
  const list = await wait((it) => it.url.includes("/counters?"));
  leaving.abort();
  list.answer({ counters: {}, after: "" });
  await settle();
  for (const it of asked.splice(0)) it.answer({ links: [], nodes: [], name: "m" });
  await opening;
  globalThis.setInterval = was;
  assert.equal(intervals.length, 0);
});

test("parts of another counter that were asked for while one is deleted stay", async () => {
  const { open } = await import(`${STATIC}/rooms/counters.js`);
  const place = new El("main"), leaving = new AbortController();
  open(place, { signal: leaving.signal });
  (await wait((it) => it.url.includes("/counters?"))).answer({ counters: { a: 1, b: 2 }, after: "" });
  await settle();
  asked.splice(0);
  place.press("Parts of a");
  (await wait((it) => it.url.includes("id=a"))).answer({ a: { m1: 1 } });
  await settle();
  place.press("Delete it");
  await settle();
  document.body.press("Delete it");
  const gone = await wait((it) => it.url.endsWith("/counters/a"));
  place.press("Parts of b");
  (await wait((it) => it.url.includes("id=b"))).answer({ b: { m1: 2 } });
  await settle();
  gone.answer({});
  await settle();
  const parts = place.all().find((it) => it.attrs.id === "parts").text;
  leaving.abort();
  assert.match(parts, /counted of b/);
});

test("More goes on with the list that is shown, not with what stands in the field", async () => {
  asked.splice(0);
  const { open } = await import(`${STATIC}/rooms/counters.js`);
  const place = new El("main"), leaving = new AbortController();
  open(place, { signal: leaving.signal });
  (await wait((it) => it.url.includes("/counters?"))).answer({ counters: { "a/1": 1 }, after: "a/1" });
  await settle();
  asked.splice(0);
  place.all().find((it) => it.nodeName === "INPUT" && it.attrs.type === "search").value = "z/";
  place.press("More");
  const more = await wait((it) => it.url.includes("after=a"));
  leaving.abort();
  assert.match(more.url, /prefix=&/);
});
// Pages that are left behind would ask on.
after(() => process.exit());
