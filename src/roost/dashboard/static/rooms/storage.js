// What each member's store and disk hold; giving back what is free; equality of members; a backup.

import { call } from "../api.js";
import { agreed, button, command, doing, fill, h, refresh, say, table } from "../dom.js";
import { bytesText, numberText } from "../words.js";

const COLUMNS = ["Member", { name: "Store", isNumber: true }, { name: "In use", isNumber: true }, { name: "Quota", isNumber: true },
  { name: "Disk free", isNumber: true }, { name: "Entries kept in the journal", isNumber: true },
  { name: "Applied, not yet in the file", isNumber: true }];

function rowOf(row) {
  const it = row.facts;
  if (!it) return [row.name || row.id, "–", "–", "–", "–", "–", "–"];
  const share = it.quota_bytes ? it.db_bytes / it.quota_bytes : 0;
  const quota = it.quota_bytes ? `${bytesText(it.quota_bytes)}, ${Math.round(100 * share)} % used` : "none";
  return [row.name || row.id, bytesText(it.db_bytes), bytesText(it.db_in_use_bytes),
    h("span", { class: share > 0.8 ? "bad" : "" }, quota), bytesText(it.disk_free_bytes),
    numberText(it.last_index - it.first_index + 1), numberText(Math.max(0, it.applied_index - it.durable_index))];
}

export function open(place, { cluster, signal }) {
  const stores = h("section", { class: "card", id: "stores" });
  const hashed = h("p", { id: "hashed" });
  const defragment = doing(async () => {
    const lines = ["This member's file is written anew, without what is free in it; it goes on meanwhile, slower.", "roost defrag"];
    if (!await agreed("Give back what is free", lines, "Do it")) return;
    await call("maintenance/defragment");
    say("it was written anew");
  });
  const compact = doing(async () => {
    const { header } = await call("maintenance/status");
    const lines = [`What keys were before revision ${header.revision} will be gone.`, `roost compact ${header.revision}`];
    if (!await agreed("Forget history", lines, "Forget it")) return;
    await call("kv/compaction", { revision: header.revision });
    say(`history before revision ${header.revision} is forgotten`);
  });
  const hash = doing(async () => {
    const said = await call("maintenance/hash");
    fill(hashed, `Keys of this member hash to ${said.hash} at revision ${said.header.revision}: on all members alike.`);
  });
  place.append(stores, h("section", { class: "card" }, h("h2", {}, "This member"), h("div", { class: "row" },
    button("Give back what is free", defragment), button("Forget history", compact, { class: "danger" }), button("Hash its keys", hash)),
  hashed, command("roost hashkv")), h("section", { class: "card" }, h("h2", {}, "Backups"),
    h("p", {}, "A backup is taken while writes go on, and can be verified and restored by the command line:"),
    h("pre", {}, "roost snapshot save backup.db\nroost snapshot status backup.db")));
  const show = () => {
    if (cluster.state) refresh(stores, table("Stores", COLUMNS, cluster.state.members.map(rowOf)));
  };
  cluster.addEventListener("state", show, { signal });
  show();
}
