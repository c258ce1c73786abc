// A card that shows what changes, as it comes: the newest above, until somebody has seen enough.

import { button, command, h, say } from "./dom.js";

const ROWS_MAX = 200;

/** `begin(signal)` gives one row after the other; `byHand` is the command that does the same. */
export function watchCard(begin, byHand, signal) {
  const list = h("ol", { class: "list", id: "watched", "aria-live": "polite" });
  let ending = null;
  const start = async () => {
    if (ending) { ending.abort(); return; }
    ending = new AbortController();
    signal.addEventListener("abort", () => ending?.abort());
    toggle.textContent = "Stop watching";
    try {
      for await (const row of begin(ending.signal)) {
        list.prepend(row);
        while (list.children.length > ROWS_MAX) list.lastChild.remove();
      }
    } catch (error) {
      if (error.name !== "AbortError") say(error.message, true);
    } finally {
      ending = null;
      toggle.textContent = "Watch what changes here";
    }
  };
  const toggle = button("Watch what changes here", start, { id: "watch" });
  return h("section", { class: "card" }, h("div", { class: "row" }, toggle), list, command(byHand));
}

/** A row: what was done, to what, when, and what came of it. */
export const changed = (verb, key, at, value) => h("li", {},
  h("b", { class: value === null ? "bad" : "good" }, `${verb} `), h("span", { class: "key" }, key), ` at ${at}`,
  value === null ? [] : [": ", h("code", {}, value.slice(0, 300))]);

export const begun = () => h("li", { class: "quiet" }, "watching");
