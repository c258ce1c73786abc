// What each member's store and disk hold; giving back what is free; equality of members; trees and backups.

import { call, isDenied, page } from "../api.js";
import { backupsCard } from "../backups.js";
import { agreed, button, command, doing, fill, h, refresh, say, table } from "../dom.js";
import { bar } from "../progress.js";
import { treesCard } from "../trees.js";
import { bytesText, journalText, numberText } from "../words.js";

const COLUMNS = ["Member", { name: "Store", isNumber: true }, { name: "In use", isNumber: true }, { name: "Quota", isNumber: true },
  { name: "Disk free", isNumber: true }, { name: "Journal", isNumber: true },
  { name: "Applied, not yet in the file", isNumber: true }];
const STATE_MS = 2000, WORK_MS = 400;
const WORKS = { defragmentation: "Giving back what is free", compaction: "Forgetting history" };

function rowOf(row) {
  const it = row.facts;
  if (!it) return [row.name || row.id, "–", "–", "–", "–", "–", "–"];
  const share = it.quota_bytes ? it.db_bytes / it.quota_bytes : 0;
  const quota = it.quota_bytes ? `${bytesText(it.quota_bytes)}, ${Math.round(100 * share)} % used` : "none";
  return [row.name || row.id, bytesText(it.db_bytes), bytesText(it.db_in_use_bytes),
    h("span", { class: share > 0.8 ? "bad" : "" }, quota), bytesText(it.disk_free_bytes),
    journalText(it), numberText(Math.max(0, it.applied_index - it.durable_index))];
}

/** What was found when all of the store was read last. */
function scrubText(it) {
  if (!it) return "Nothing was read over since this member was started.";
  const read = `${numberText(it.record_count)} records up to entry ${numberText(it.index)} in ${it.took_s.toFixed(1)} s`;
  return it.fault ? `${read}: ${it.fault}` : `${read}: all as they were written`;
}

function stateCard(said) {
  const derived = said.derived.map((it) => [h("code", {}, it.name), h("code", {}, it.source), it.version,
    it.error ? h("b", { class: "bad" }, it.error) : it.share < 1
      ? [h("progress", { max: "1", value: it.share, "aria-label": `How far ${it.name} is` }), ` ${Math.round(100 * it.share)} %`]
      : "complete", numberText(it.waiting_count)]);
  return [table("What is known of it", ["", ""], [
    ["Read over last", h("span", { class: said.scrub?.fault ? "bad" : "" }, scrubText(said.scrub))],
    ["Digest of what is durable", h("code", {}, said.digest)],
    ["Members that differ", said.corrupt.length ? h("b", { class: "bad" }, said.corrupt.join(", ")) : "none"]]),
  derived.length ? table("Derived trees", ["Tree", "Of", { name: "Version", isNumber: true }, "Built",
    { name: "Waiting", isNumber: true }], derived) : null];
}

/** Bars of what takes long here, whoever has asked for it. */
const bars = (works) => works.map((it) => bar(WORKS[it.kind] ?? it.kind,
  { phase: it.phase, done: it.done_count, share: it.share, unit: it.unit, seconds: it.seconds }));

function toolsCard(hurry) {
  const hashed = h("p", { id: "hashed" });
  const defragment = doing(async () => {
    const lines = ["This member's file is written anew, without what is free in it; it goes on meanwhile, slower.", "roost defrag"];
    if (!await agreed("Give back what is free", lines, "Do it")) return;
    const done = call("maintenance/defragment");
    hurry();
    await done;
    say("it was written anew");
  });
  const compact = doing(async () => {
    const { header } = await call("maintenance/status");
    const lines = [`What keys were before revision ${header.revision} will be gone.`, `roost compact ${header.revision}`];
    if (!await agreed("Forget history", lines, "Forget it")) return;
    await call("kv/compaction", { revision: header.revision });
    hurry();
    say(`history before revision ${header.revision} is forgotten`);
  });
  const hash = doing(async () => {
    const said = await call("maintenance/hash");
    fill(hashed, `Keys of this member hash to ${said.hash} at revision ${said.header.revision}: on all members alike.`);
  });
  return [h("div", { class: "row" }, button("Give back what is free", defragment),
    button("Forget history", compact, { class: "danger" }), button("Hash its keys", hash)), hashed, command("roost hashkv")];
}

export async function open(place, { cluster, signal }) {
  const stores = h("section", { class: "card", id: "stores" }), state = h("div", { id: "state" });
  const works = h("div", { id: "works", role: "status" });
  let timer = 0;
  const hurry = () => { clearTimeout(timer); timer = setTimeout(again, 0); };
  const tools = h("div", {}, toolsCard(hurry));
  place.append(stores, h("section", { class: "card" }, h("h2", {}, "This member"), state, works, tools));
  const show = () => {
    if (cluster.state) refresh(stores, table("Stores", COLUMNS, cluster.state.members.map(rowOf)));
  };
  cluster.addEventListener("state", show, { signal });
  show();
  const look = async () => {
    const said = await page("storage", { signal });
    if (signal.aborted) return;
    refresh(state, stateCard(said));
    refresh(works, bars(said.works));
    clearTimeout(timer);
    timer = setTimeout(again, said.works.length ? WORK_MS : STATE_MS);
  };
  const again = () => look().catch((error) => {
    if (error.name === "AbortError") return;
    say(error.message, true);
    timer = setTimeout(again, STATE_MS);
  });
  signal.addEventListener("abort", () => clearTimeout(timer));
  // Whoever may not see it sees the rest.
  try {
    await look();
  } catch (error) {
    if (signal.aborted) return;
    fill(state, h("p", { class: "quiet" }, `More of this member, its trees and backups are for root: ${error.message}`));
    if (isDenied(error)) tools.remove();
    return;
  }
  place.append(treesCard(signal), backupsCard(signal));
}
