// Leases with what is left of them and their keys; who holds a lock or leads an election, who waits.

import { call, page, plain } from "../api.js";
import { agreed, button, command, doing, field, fill, h, say, table, turns } from "../dom.js";
import { bytesOf, countText, durationText, fromBase64, keyText, numberText, prefixEnd, shellText, toBase64 } from "../words.js";

// Leases are asked for one by one.
const PAGE = 100;
const hex = (id) => BigInt(id).toString(16);

/** A place in a line is a key NAME/LEASE: the names of the lines that a lease stands in. */
export const linesOf = (keys, id) => keys.filter((it) => it.endsWith(`/${hex(id)}`) && it.length > hex(id).length + 1)
  .map((it) => it.slice(0, -hex(id).length - 1));

async function leaseRow(it, again, names) {
  const said = await call("lease/timetolive", { ID: it.ID, keys: true });
  const keys = (said.keys ?? []).map((key) => keyText(fromBase64(key)));
  for (const name of linesOf(keys, it.ID)) names.add(name);
  const revoke = doing(async () => {
    const lines = [`${countText(keys.length, "key")} will be deleted with it: ${keys.slice(0, 20).join(", ")}`,
      `roost lease revoke ${hex(it.ID)}`];
    if (!await agreed(`Revoke lease ${hex(it.ID)}`, lines, "Revoke it")) return;
    await call("lease/revoke", { ID: it.ID });
    say("it was revoked");
    again();
  });
  const left = Number(said.TTL ?? -1);
  return [h("code", {}, hex(it.ID)), left < 0 ? "over" : durationText(left || 0.5), durationText(Number(said.grantedTTL ?? 0)),
    keys.length ? `${numberText(keys.length)}: ${keys.slice(0, 5).join(", ")}${keys.length > 5 ? " …" : ""}` : "none",
    button("Revoke", revoke, { class: "small danger" })];
}

async function listing(card, signal, again, found) {
  const said = await call("lease/leases");
  const leases = said.leases ?? [];
  const shown = h("div", { id: "leases" });
  fill(card, h("p", { class: "quiet" }, `${countText(leases.length, "lease is", "leases are")} held`), shown,
    h("div", { class: "row" }, button("Look again", doing(async () => again()))), command("roost lease list"));
  const rows = [], names = new Set();
  const append = async () => {
    const next = leases.slice(rows.length, rows.length + PAGE);
    rows.push(...await Promise.all(next.map((it) => leaseRow(it, again, names))));
    if (signal.aborted) return;
    found([...names].sort());
    fill(shown, table("Leases", ["Id", "Left", "Granted", "Keys", ""], rows),
      rows.length < leases.length ? button("More", doing(append)) : []);
  };
  await append();
}

function queueRows(kvs) {
  const waiting = [...kvs].sort((a, b) => Number(BigInt(a.create_revision) - BigInt(b.create_revision)));
  return waiting.map((it, at) => [at ? `waits, ${at} before it` : h("b", { class: "good" }, "holds it"),
    it.create_revision, keyText(fromBase64(it.key)), keyText(fromBase64(it.value)) || "–",
    it.lease ? h("code", {}, hex(it.lease)) : "none"]);
}

const encoded = (path) => path.split("/").map(encodeURIComponent).join("/");

/** The line of a lock or leader of etcd 0.3: places in a directory of v2's tree, in the order of their coming. */
async function v2Line(name) {
  // Nobody: there may be no such directory.
  if (!await plain(`/mod/v2/lock/${encoded(name)}`)) return h("p", {}, "Nobody holds it, and nobody waits.");
  const { node } = await page(`/v2/keys/_etcd/mod/lock/${encoded(name)}?sorted=true&quorum=true`);
  const places = (node.nodes ?? []).filter((it) => !it.dir).map((it, at) =>
    [at ? `waits, ${at} before it` : h("b", { class: "good" }, "holds it"), String(it.createdIndex),
      it.value === "-" ? "–" : it.value, it.ttl === undefined ? "stays" : durationText(it.ttl)]);
  return table(`The line of ${name} in v2`, ["Who", "Fencing index", "Value", "Left"], places);
}

/** Waiting lines are keys NAME/LEASE: who was created first holds, and its revision fences. */
function queues() {
  const name = field("Name of a lock or an election", { required: true });
  const ofV2 = field("Of etcd's v2", { type: "checkbox" });
  const shown = h("div", { id: "queue" });
  const looks = turns();
  const look = doing(async () => {
    const isOld = looks(), line = name.input.value;
    if (ofV2.input.checked) {
      const places = await v2Line(line);
      if (!isOld()) fill(shown, places, command(`curl ${location.origin}/mod/v2/lock/${shellText(line)}`));
      return;
    }
    const prefix = bytesOf(`${line}/`);
    const said = await call("kv/range", { key: toBase64(prefix), range_end: toBase64(prefixEnd(prefix)), limit: 1000,
      sort_target: "CREATE", sort_order: "ASCEND" });
    if (isOld()) return;
    fill(shown, said.kvs?.length
      ? table(`The line of ${line}`, ["Who", "Fencing revision", "Key", "Value", "Lease"], queueRows(said.kvs))
      : h("p", {}, "Nobody holds it, and nobody waits."),
    command(`roost elect --listen ${shellText(line)}`));
  });
  const known = h("p", { class: "row", id: "lines" });
  const found = (names) => fill(known, names.length ? ["Lines that the leases above stand in:", ...names.map((it) =>
    button(it, () => { name.input.value = it; ofV2.input.checked = false; return look(); }, { class: "small" }))] : []);
  return { found, card: h("section", { class: "card" }, h("h2", {}, "Locks and elections"), known,
    h("form", { class: "row", onsubmit: look }, name.element, ofV2.element, h("button", { type: "submit" }, "Look")), shown) };
}

export async function open(place, { signal, again }) {
  const card = h("section", { class: "card" });
  const lines = queues();
  place.append(card, lines.card);
  await listing(card, signal, again, lines.found);
}
