// The trees of the store: what they are for, what is in them, row by row; keys and bytes when somebody has them counted.

import { page } from "./api.js";
import { button, command, doing, fill, h, table, turns } from "./dom.js";
import { bytesText, numberText, shellText } from "./words.js";

const number = (name) => ({ name, isNumber: true });

/** What is longer than what is shown says so. */
function shownText(text, bytes) {
  return bytes > 2048 ? `${text}… (${bytesText(bytes)})` : text;
}

export function treesCard(signal) {
  const list = h("div", { id: "trees" }), rows = h("div", { id: "rows" }), told = h("p", { class: "quiet", role: "status" });
  let held = [], after = "", counts = null;

  const looks = turns();
  const look = (tree) => goOn(looks(), tree);
  const goOn = async (isOld, tree, from = "", before = []) => {
    // Not in the address: a key may be longer than one can be.
    const body = JSON.stringify({ tree, from, limit: 100 });
    const said = await page("trees/rows", { method: "POST", body, headers: { "content-type": "application/json" }, isRepeatable: true, signal });
    if (isOld()) return;
    const all = [...before, ...said.rows];
    fill(rows, table(`Rows of ${tree}`, ["Key", "Value"], all.map((it) =>
      [h("code", {}, shownText(it.key, it.key_bytes)), h("code", {}, shownText(it.value, it.value_bytes))])),
    all.length ? [] : h("p", { class: "quiet" }, "There are none so far."),
    said.rest ? button(`More of ${tree}`, doing(() => goOn(isOld, tree, said.rest, all))) : h("p", { class: "quiet" }, "That is all."),
    command(`roost dump DATA_DIR ${shellText(tree)}`));
  };
  const show = () => {
    const found = new Map((counts?.trees ?? []).map((it) => [it.name, it]));
    const ours = held.map((it) => ({ ...it, isDerived: false }));
    const names = new Set(held.map((it) => it.name));
    const derived = after ? [] : [...found.values()].filter((it) => !names.has(it.name))
      .map((it) => ({ name: it.name, keys: "", values: "", purpose: it.purpose, isDerived: true }));
    fill(list, table("Trees", ["Name", "Types", "Purpose", number("Keys"), number("Bytes"), number("Pages"), ""],
      [...ours, ...derived].map((it) => {
        const count = found.get(it.name);
        return [h("code", {}, it.name), it.keys ? `${it.keys} → ${it.values}` : "", it.purpose || (it.keys || it.isDerived ? "" : "Roost's own"),
          numberText(count?.key_count ?? null), count ? bytesText(count.content_bytes) : "–", numberText(count?.page_count ?? null),
          it.isDerived ? "" : button("Rows", doing(() => look(it.name)), { class: "small", "aria-label": `Rows of ${it.name}` })];
      })), after ? button("More trees", doing(more)) : []);
  };
  const more = async () => {
    const said = await page(`trees?${new URLSearchParams({ after, limit: 200 })}`, { signal });
    held = [...held, ...said.trees];
    after = said.after;
    show();
  };
  const count = doing(async () => {
    fill(told, "A process walks over all of them; large ones take a while.");
    try {
      counts = await page("trees/counts", { signal });
      fill(told, `Counted in the file, which had everything up to entry ${numberText(counts.index)}.`);
    } catch (error) {
      fill(told);
      throw error;
    }
    show();
  });
  doing(more)();
  return h("section", { class: "card" }, h("h2", {}, "Trees"),
    h("p", {}, "All data is in trees, each with its keys in order. Those of programs say of which types they are."),
    h("div", { class: "row" }, button("Count keys and bytes", count)), told, list, rows, command("roost trees DATA_DIR"));
}
