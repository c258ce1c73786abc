// Keys: folders by `/`, a value with its history, changes by compare-and-set, a live watch.

import { call, follow } from "../api.js";
import { agreed, button, command, doing, field, fill, h, say, table } from "../dom.js";
import { begun, changed, watchCard } from "../watching.js";
import {
  FORMS, bytesOf, bytesText, compareBytes, differences, fromBase64, keyText, numberText,
  prefixEnd, shellText, textOf, toBase64, valueText,
} from "../words.js";

// Rows of a page, keys that are asked for at once, and how many requests a page may take.
const ROWS = 100, ASKED = 200, REQUESTS_MAX = 50;
const VERSIONS_MAX = 50;
const SLASH = 0x2f;
const CHANGED = "it has changed since you looked at it: nothing was written. Look again.";

const span = (prefix) => prefix.length
  ? { key: toBase64(prefix), range_end: toBase64(prefixEnd(prefix)) }
  : { key: toBase64(Uint8Array.of(0)), range_end: toBase64(Uint8Array.of(0)) };

/** A key, or a folder, as the address of this page; bytes that are no text go as base64. */
function addressOf(kind, bytes) {
  const text = textOf(bytes);
  const said = text === null ? `b64:${toBase64(bytes)}` : text.startsWith("b64:") ? `b64:${toBase64(bytes)}` : text;
  return `#/keys/${kind}/${encodeURIComponent(said)}`;
}

const addressed = (said) => said.startsWith("b64:") ? fromBase64(said.slice(4)) : bytesOf(said);

/**
 * A page of what lies in a folder: keys, and folders that are jumped over, so that a page costs what
 * it shows and not what is in them.  `ask(first, end, limit)` gives keys in order.
 */
export async function pageOf(prefix, first, ask) {
  const end = prefix.length ? prefixEnd(prefix) : Uint8Array.of(0);
  const isBehind = (key) => end.length !== 1 || end[0] !== 0 ? compareBytes(key, end) >= 0 : false;
  const rows = [];
  let next = first;
  for (let count = 0; count < REQUESTS_MAX && next !== null && !isBehind(next); count += 1) {
    const { keys, more } = await ask(next, end, ASKED);
    let after = null;
    for (const key of keys) {
      if (after !== null && compareBytes(key, after) < 0) continue;
      if (rows.length >= ROWS) return { rows, next: key };
      const at = key.indexOf(SLASH, prefix.length);
      // A slash at the very start belongs to the first name: "/registry/pods" is in "/registry/".
      const cut = at === prefix.length && !prefix.length ? key.indexOf(SLASH, 1) : at;
      if (cut >= 0 && cut < key.length - 1) {
        const folder = key.subarray(0, cut + 1);
        rows.push({ folder });
        after = prefixEnd(folder);
      } else {
        rows.push({ key });
      }
    }
    const last = keys[keys.length - 1];
    const behind = last && Uint8Array.of(...last, 0);
    next = !more ? null : after !== null && compareBytes(after, behind) > 0 ? after : behind;
    if (!more && after !== null) next = null;
  }
  return { rows, next };
}

async function askKeys(first, end, limit) {
  const body = { key: toBase64(first), range_end: toBase64(end), limit, keys_only: true };
  const said = await call("kv/range", body);
  return { keys: (said.kvs ?? []).map((it) => fromBase64(it.key)), more: said.more === true };
}

function crumbs(prefix) {
  const links = [h("li", {}, h("a", { href: "#/keys" }, "all keys"))];
  for (let at = 0; at < prefix.length; at += 1) {
    if (prefix[at] === SLASH && at > 0) {
      const upTo = prefix.subarray(0, at + 1);
      const begin = prefix.lastIndexOf(SLASH, at - 1);
      links.push(h("li", {}, h("a", { href: addressOf("in", upTo) },
        keyText(prefix.subarray(begin <= 0 ? 0 : begin + 1, at + 1)))));
    }
  }
  return h("ol", { class: "steps", "aria-label": "Where this is" }, links);
}

function listing(place, prefix, signal) {
  const list = h("ul", { class: "list", id: "keys" });
  const more = h("div", { class: "row" });
  const append = async (first) => {
    const { rows, next } = await pageOf(prefix, first, askKeys);
    if (signal.aborted) return;
    list.append(...rows.map((it) => h("li", { class: "key" }, it.folder
      ? h("a", { href: addressOf("in", it.folder) }, `${keyText(it.folder.subarray(prefix.length))} …`)
      : h("a", { href: addressOf("key", it.key) }, keyText(it.key.subarray(prefix.length)) || keyText(it.key)))));
    if (!list.children.length) list.append(h("li", { class: "quiet" }, "There is no key here."));
    fill(more, next ? button("More", doing(() => append(next))) : []);
  };
  place.append(list, more);
  return append(prefix.length ? prefix : Uint8Array.of(0));
}

function creating(prefix) {
  const key = field("Key", { value: textOf(prefix) ?? "", required: true });
  const value = field("Value", { rows: 3 });
  const ttl = field("Gone after, in seconds (none: it stays)", { type: "number", min: 1 });
  return h("details", {}, h("summary", {}, "Create a key"), h("form", { onsubmit: doing(async () => {
    const wanted = toBase64(key.input.value);
    let lease = "0";
    if (ttl.input.value) lease = (await call("lease/grant", { TTL: ttl.input.value })).ID;
    const said = await call("kv/txn", {
      compare: [{ key: wanted, target: "VERSION", result: "EQUAL", version: "0" }],
      success: [{ request_put: { key: wanted, value: toBase64(value.input.value), lease } }],
    });
    if (!said.succeeded) {
      if (lease !== "0") await call("lease/revoke", { ID: lease });
      throw new Error("there is such a key already: nothing was written");
    }
    location.hash = addressOf("key", bytesOf(key.input.value));
  }) }, key.element, value.element, h("div", { class: "row" }, ttl.element,
    h("button", { type: "submit", class: "primary" }, "Create it"))));
}

async function* changes(prefix, signal) {
  for await (const said of follow("watch", { create_request: span(prefix) }, signal)) {
    if (said.created) yield begun();
    if (said.canceled) throw new Error(said.cancel_reason || "the watch was ended");
    for (const { type, kv } of said.events ?? []) {
      const value = fromBase64(kv.value);
      yield type === "DELETE" ? changed("deleted", keyText(fromBase64(kv.key)), kv.mod_revision, null)
        : changed("put", keyText(fromBase64(kv.key)), kv.mod_revision, valueText(value, "text") ?? bytesText(value.length));
    }
  }
}

async function folder(place, prefix, signal) {
  const search = field("Keys that begin with", { value: textOf(prefix) ?? "", type: "search" });
  place.append(h("section", { class: "card" }, crumbs(prefix), h("form", { class: "row", onsubmit: (event) => {
    event.preventDefault();
    location.hash = addressOf("in", bytesOf(search.input.value));
  } }, search.element, h("button", { type: "submit" }, "Go there"))));
  const card = h("section", { class: "card keys" });
  const name = prefix.length ? shellText(keyText(prefix)) : "''";
  place.append(card, h("section", { class: "card" }, creating(prefix), removing(prefix)),
    watchCard((ending) => changes(prefix, ending), `roost watch --prefix ${name}`, signal));
  await listing(card, prefix, signal);
  card.append(command(`roost get --prefix --keys-only ${name}`));
}

function removing(prefix) {
  const name = prefix.length ? `all keys that begin with ${keyText(prefix)}` : "all keys";
  return h("p", {}, button("Delete all of these", doing(async () => {
    const said = await call("kv/range", { ...span(prefix), count_only: true });
    const count = said.count ?? "0";
    if (!await agreed(`Delete ${name}`, [`${numberText(Number(count))} keys will be gone.`,
      `roost del --prefix ${prefix.length ? shellText(keyText(prefix)) : "''"}`], "Delete them", count)) return;
    const gone = await call("kv/deleterange", span(prefix));
    say(`${gone.deleted ?? 0} keys were deleted`);
    location.hash = "#/keys";
  }), { class: "danger" }));
}

const partOf = (bytes) => bytes.subarray(0, bytes.lastIndexOf(SLASH) + 1);

async function oneKey(place, key, signal, again) {
  const card = h("section", { class: "card" });
  place.append(h("section", { class: "card" }, crumbs(partOf(key)), h("h2", { class: "key" }, keyText(key))), card);
  const said = await call("kv/range", { key: toBase64(key) });
  if (signal.aborted) return;
  const [kv] = said.kvs ?? [];
  if (!kv) {
    card.append(h("p", {}, "There is no such key, as of revision ", said.header.revision, "."));
    return;
  }
  const value = fromBase64(kv.value);
  card.append(table("What is known of it", ["", ""], [
    ["Version", kv.version], ["Changed at revision", kv.mod_revision], ["Created at revision", kv.create_revision],
    ["Lease", kv.lease && kv.lease !== "0" ? BigInt(kv.lease).toString(16) : "none"], ["Size", bytesText(value.length)],
  ]), viewing(value), editing(key, kv, value, again), h("p", {}, button("Delete it", doing(async () => {
    const lines = [`Its value of ${bytesText(value.length)} will be gone.`, `roost del ${shellText(keyText(key))}`];
    if (!await agreed(`Delete ${keyText(key)}`, lines, "Delete it")) return;
    await compareAndSet(key, kv, { request_delete_range: { key: toBase64(key) } });
    location.hash = addressOf("in", partOf(key));
  }), { class: "danger" })), command(`roost get ${shellText(keyText(key))}`));
  place.append(history(key, kv, signal));
}

function viewing(value) {
  const usable = FORMS.filter((it) => valueText(value, it) !== null);
  const shown = h("pre", { id: "value", tabindex: "0" });
  const form = field("Shown as", { options: usable, onchange: () => show() });
  const show = () => fill(shown, valueText(value, form.input.value));
  show();
  return h("div", {}, form.element, shown);
}

async function compareAndSet(key, kv, operation) {
  const said = await call("kv/txn", {
    compare: [{ key: toBase64(key), target: "MOD", result: "EQUAL", mod_revision: kv.mod_revision }],
    success: [operation],
  });
  if (!said.succeeded) throw new Error(CHANGED);
}

function editing(key, kv, value, again) {
  const text = textOf(value);
  if (text === null) return h("p", { class: "quiet" }, "A value that is no text is not changed here.");
  const edited = field("New value", { rows: 6, value: text, id: "edited" });
  const keep = field("Keep its lease", { type: "checkbox" });
  keep.input.checked = true;
  return h("details", {}, h("summary", {}, "Change it"), h("form", { onsubmit: doing(async () => {
    const put = { key: toBase64(key), value: toBase64(edited.input.value), ignore_lease: keep.input.checked };
    if (!put.ignore_lease) delete put.ignore_lease;
    await compareAndSet(key, kv, { request_put: put });
    say("it was written");
    again();
  }) }, edited.element, h("div", { class: "row" }, keep.element,
    h("button", { type: "submit", class: "primary" }, "Write it, unless it has changed"))));
}

/** Older values, one after the other: each as it was just before the next was written. */
export async function* versions(kv, ask) {
  let newer = kv;
  for (let count = 0; count < VERSIONS_MAX && newer && newer.version !== "1"; count += 1) {
    const older = await ask(String(BigInt(newer.mod_revision) - 1n));
    if (!older) return;
    yield { newer, older };
    newer = older;
  }
}

function history(key, kv, signal) {
  const list = h("ol", { class: "list", id: "history" });
  const ask = async (revision) => (await call("kv/range", { key: toBase64(key), revision })).kvs?.[0];
  const show = doing(async () => {
    fill(list, h("li", {}, `revision ${kv.mod_revision}: what is there now`));
    try {
      for await (const { newer, older } of versions(kv, ask)) {
        if (signal.aborted) return;
        list.append(h("li", {}, `revision ${older.mod_revision}, before it became that of ${newer.mod_revision}`,
          changesOf(fromBase64(older.value), fromBase64(newer.value))));
      }
      list.append(h("li", { class: "quiet" }, "that is all"));
    } catch (error) {
      if (!/compacted/.test(error.message)) throw error;
      list.append(h("li", { class: "quiet" }, "what was before is forgotten: history was compacted"));
    }
  });
  return h("section", { class: "card" }, h("h2", {}, "History"), button("Show it", show, { id: "show-history" }), list,
    command(`roost get --revision REVISION ${shellText(keyText(key))}`));
}

function changesOf(before, after) {
  const [old, now] = [textOf(before), textOf(after)];
  if (old === null || now === null) return h("p", { class: "quiet" }, `${bytesText(before.length)} that are no text`);
  const marks = { " ": "", "-": "gone", "+": "come" };
  return h("pre", {}, differences(old, now).map(([sign, line]) => h("div", { class: marks[sign] }, `${sign} ${line}`)));
}

export async function open(place, { rest, signal, again }) {
  const [kind, said = ""] = rest;
  if (kind === "key") await oneKey(place, addressed(said), signal, again);
  else await folder(place, kind === "in" ? addressed(said) : new Uint8Array(), signal);
}
