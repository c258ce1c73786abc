// Counters: a list by prefix, each member's part of one, changes; links between members, purges.

import { page } from "../api.js";
import { agreed, button, command, doing, every, field, fill, h, refresh, say, table, turns } from "../dom.js";
import { bar } from "../progress.js";
import { bytesText, countText, durationText, numberText, shellText } from "../words.js";

const PAGE = 200, LOOK_MS = 1000;

function keyed() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return { "idempotency-key": Array.from(bytes, (it) => it.toString(16).padStart(2, "0")).join("") };
}

function listing(place, signal) {
  const prefix = field("Names that begin with", { type: "search" });
  const name = field("Count", { placeholder: "name", required: true }), by = field("by", { type: "number", value: 1 });
  const list = h("div", { id: "counters" }), parts = h("div", { id: "parts" });
  const looks = turns(), takenApart = turns();
  const show = () => goOn(looks(), prefix.input.value);
  // More is of the list that is shown, whatever stands in the field by now.
  const goOn = async (isOld, begin, after = "", held = []) => {
    const said = await page(`/counters?prefix=${encodeURIComponent(begin)}&limit=${PAGE}&after=${encodeURIComponent(after)}`);
    const rows = [...held, ...Object.entries(said.counters)];
    if (signal.aborted || isOld()) return;
    fill(list, rows.length ? table("Counters", ["Name", { name: "Value", isNumber: true }, ""], rows.map(([it, value]) =>
      [it, numberText(value), button("Parts", doing(() => showParts(it)), { class: "small", "aria-label": `Parts of ${it}` })]))
      : h("p", { class: "quiet" }, "There are none."),
    said.after ? button("More", doing(() => goOn(isOld, begin, said.after, rows))) : []);
  };
  const count = async (it, change) => {
    await page("/counters/increment", { method: "POST", body: JSON.stringify([[it, change]]), headers: keyed() });
    await show();
  };
  const showParts = async (it) => {
    const isOld = takenApart();
    const raw = (await page(`/counters/read?raw=true&id=${encodeURIComponent(it)}`))[it] ?? {};
    if (isOld()) return;
    fill(parts, table(`What each member has counted of ${it}`, ["Member", { name: "Part", isNumber: true }],
      Object.entries(raw).map(([who, value]) => [who, numberText(value)])),
    h("div", { class: "row" }, button("+1", doing(() => count(it, 1).then(() => showParts(it))), { "aria-label": `Add 1 to ${it}` }),
      button("−1", doing(() => count(it, -1).then(() => showParts(it))), { "aria-label": `Take 1 from ${it}` }),
      button("Delete it", doing(async () => {
        if (!await agreed(`Delete the counter ${it}`, ["Its value will be gone. What is counted at this moment elsewhere may bring it back.",
          `roost counter rm ${shellText(it)}`], "Delete it")) return;
        const isOther = takenApart();
        await page(`/counters/${encodeURIComponent(it)}`, { method: "DELETE", headers: keyed() });
        if (!isOther()) fill(parts);
        await show();
      }), { class: "danger" })), command(`roost counter raw ${shellText(it)}`));
  };
  place.append(h("section", { class: "card" }, h("form", { class: "row", onsubmit: doing(() => show()) }, prefix.element,
    h("button", { type: "submit" }, "Look")), h("form", { class: "row", onsubmit: doing(async () => {
    await count(name.input.value, Number(by.input.value));
    await showParts(name.input.value);
  }) }, name.element, by.element, h("button", { type: "submit", class: "primary" }, "Count")), list, parts,
  command("roost counter ls")));
  return show();
}

function linkRow(it) {
  const backlog = `${numberText(it.backlog)}${it.backlog_is_more ? " or more" : ""}`;
  return [it.name || it.member, it.stage, backlog, durationText(it.behind_s ?? 0), it.error || "–"];
}

async function standing(links, joining, signal) {
  const [said, stats, topology] = await Promise.all([page("/counters/links"), page("/counters/stats"), page("/counters/topology")]);
  if (signal.aborted) return;
  refresh(links, table("What this member tells the others", ["To", "Stage", { name: "Backlog", isNumber: true },
    { name: "Behind", isNumber: true }, "Trouble"], (said.links ?? []).map(linkRow)));
  const share = stats.share ?? 1;
  refresh(joining, h("p", {}, `This member counts as ${stats.name}: ${stats.error || stats.phase || stats.state}`),
    stats.purging && bar("Purging", { phase: "removing what nobody needs", done: stats.purging.done, total: stats.purging.total,
      unit: "counters", seconds: stats.purging.seconds }),
    share < 1 && h("label", {}, `It has ${Math.round(100 * share)} % of the seed's names`,
      h("progress", { max: 1, value: share })),
    table("Who counts", ["Name", "Standing", "Serves"], topology.nodes.map((it) => [it.name, it.standing, it.ready ? "yes" : "not yet"])),
    stats.bytes !== undefined && h("p", { class: "quiet" },
      `${countText(stats.counters, "part", "parts")} of counters here, ${bytesText(stats.bytes)}`));
}

export async function open(place, { signal }) {
  await listing(place, signal);
  const links = h("section", { class: "card", id: "links" }), joining = h("section", { class: "card" });
  const proven = (proof) => Object.entries(proof).map(([name, version]) => `${name} up to its change ${numberText(version)}`).join(", ") || "nothing";
  const purge = doing(async () => {
    const would = await page("/counters/purge?dry_run=true", { method: "POST" });
    const lines = ["What was deleted is remembered until all members know of it. A purge removes that for good, as far as every member has said that it does.",
      `All members have heard of ${proven(would.proof)}: what was deleted by then would be removed.`, "roost counter purge --dry-run; roost counter purge"];
    if (!await agreed("Purge", lines, "Purge")) return;
    const { proof } = await page("/counters/purge", { method: "POST" });
    say(`purged: ${proven(proof)}`);
  });
  place.append(links, joining, h("section", { class: "card" }, button("Purge what was deleted", purge, { class: "danger" }),
    command("roost counter links")));
  const look = () => standing(links, joining, signal).catch((error) => say(error.message, true));
  await look();
  every(LOOK_MS, look, signal);
}
