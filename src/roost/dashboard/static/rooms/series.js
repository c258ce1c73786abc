// Time series: a list, a graph of several with bands, points as a table, tags, deletions, CSV.

import { page, plain } from "../api.js";
import { chart } from "../chart.js";
import { agreed, button, command, doing, field, fill, h, say, table, turns } from "../dom.js";
import { linesOf, queryOf } from "../queries.js";
import { momentText, numberText, shellText } from "../words.js";

const LIST = 200, SHOWN_MAX = 8, ROWS_MAX = 500;
const WINDOWS = ["auto", "none", "1m", "15m", "1h", "1d", "1w", "1mo"];
const SPANS = [["hour", 3600], ["day", 86400], ["week", 7 * 86400], ["month", 30 * 86400], ["year", 365 * 86400]];
const AGGREGATES = ["mean", "min", "max", "sum", "count", "stddev", "median", "p95", "first", "last"];

const stretchOf = ({ from, to }) => (from === null ? ""
  : ` --start ${new Date(from * 1000).toISOString()} --end ${new Date(to * 1000).toISOString()}`);

class Room {
  constructor(place, signal) {
    Object.assign(this, { place, signal, chosen: new Set(), from: null, to: null, looks: turns(), draws: turns() });
    this.prefix = field("Names that begin with", { type: "search" });
    this.tag = field("Tag", { placeholder: "temp:C" });
    this.window = field("Window", { options: WINDOWS, onchange: doing(() => this.draw()) });
    this.aggregate = field("Line", { options: AGGREGATES, onchange: doing(() => this.draw()) });
    this.beside = new Map(AGGREGATES.map((name) => [name, field(name, { type: "checkbox",
      onchange: doing((event) => { this.check(event.target); return this.draw(); }) })]));
    this.zone = field("Time zone", { value: Intl.DateTimeFormat().resolvedOptions().timeZone, onchange: doing(() => this.draw()) });
    this.list = h("div", { id: "series" });
    this.graph = chart({ id: "graph" });
    this.points = h("div", { id: "points" });
    this.stretch = h("p", { class: "quiet", id: "stretch" });
    this.tools = h("div", {});
    this.toolsOf = null;
    this.byHand = h("div", {});
    this.graph.onzoom = ([from, to]) => { this.from = from; this.to = to; doing(() => this.draw())(); };
    const spans = SPANS.map(([name, seconds]) => button(`Last ${name}`, doing(() => {
      this.to = Date.now() / 1000;
      this.from = this.to - seconds;
      return this.draw();
    }), { class: "small" }));
    place.append(h("section", { class: "card" }, h("form", { class: "row", onsubmit: doing(() => this.look()) },
      this.prefix.element, this.tag.element, h("button", { type: "submit" }, "Look")), this.list, command("roost series ls")),
    h("section", { class: "card" }, h("div", { class: "row" }, this.window.element, this.aggregate.element, this.zone.element,
      button("All there is", doing(() => { this.from = this.to = null; return this.draw(); }), { class: "small" }), spans),
    h("details", {}, h("summary", {}, "Lines beside it"),
      h("div", { class: "row" }, [...this.beside.values()].map((it) => it.element))),
    this.graph, this.stretch, this.tools, this.points));
  }

  /** What is drawn of each series, the line that has the band first. */
  get drawn() {
    const more = [...this.beside].filter(([, it]) => it.input.checked).map(([name]) => name);
    return [...new Set([this.aggregate.input.value, ...more])];
  }

  /** Take back what was just ticked where there would be too many lines. */
  check(box) {
    const asks = box.checked && Math.max(1, this.chosen.size) * this.drawn.length > SHOWN_MAX;
    if (!asks) return;
    box.checked = false;
    throw new Error(`${SHOWN_MAX} lines are all that can be told apart`);
  }

  look() {
    const asked = new URLSearchParams({ limit: LIST, counts: "true", values: "true" });
    for (const [name, it] of [["prefix", this.prefix], ["tag", this.tag]]) if (it.input.value) asked.set(name, it.input.value);
    return this.goOn(this.looks(), asked);
  }

  // More is of the list that is shown, whatever stands in the fields by now.
  async goOn(isOld, asked, after = "", held = []) {
    if (after) asked.set("after", after);
    const said = await page(`/series?${asked}`);
    if (this.signal.aborted || isOld()) return;
    const rows = [...held, ...said.series];
    fill(this.list, rows.length ? table("Series", ["", "Name", "Tags", "First", "Last", { name: "Last value", isNumber: true },
      { name: "Points", isNumber: true },
      { name: "Bytes a point", isNumber: true }], rows.map((it) => this.row(it))) : h("p", { class: "quiet" }, "There are none."),
    said.after ? button("More", doing(() => this.goOn(isOld, asked, said.after, rows))) : []);
  }

  row(it) {
    const { name } = it;
    const box = h("input", { type: "checkbox", "aria-label": `Show ${name}`, onchange: doing(async () => {
      if (box.checked) this.chosen.add(name);
      else this.chosen.delete(name);
      try {
        this.check(box);
      } catch (error) {
        this.chosen.delete(name);
        throw error;
      }
      await this.draw();
    }) });
    box.checked = this.chosen.has(name);
    const tags = Object.entries(it.tags).map(([key, value]) => `${key}:${value}`).join(", ");
    return [box, name, tags, it.first, it.last, numberText(it.value), numberText(it.points ?? 0), numberText(it.point_bytes ?? null)];
  }

  get query() {
    const aggregates = [...new Set([...this.drawn, "min", "max"])];
    return { names: [...this.chosen], tag: "", from: this.from, to: this.to, window: this.window.input.value,
      zone: this.zone.input.value, aggregates };
  }

  async draw() {
    const { query, drawn } = this;
    const isOld = this.draws();
    fill(this.stretch, query.from === null ? "All there is. " : `From ${momentText(query.from)} to ${momentText(query.to)}. `,
      "Mark a stretch of the graph to ask for it alone.");
    if (!query.names.length) {
      this.graph.show("Nothing is chosen", "", []);
      fill(this.points);
      fill(this.tools);
      this.toolsOf = null;
      return;
    }
    const said = await page(`/series/query?${queryOf(query, Math.max(100, this.graph.clientWidth))}`);
    if (this.signal.aborted || isOld()) return;
    const lines = linesOf(said, drawn);
    this.graph.show(query.window === "none" ? "Points" : `${drawn[0]}, with least and most${drawn.length > 1
      ? `, beside ${drawn.slice(1).join(", ")}` : ""}`, "", lines);
    const [first] = said.series;
    fill(this.points, first ? table(`What is drawn of ${first.name}`, first.columns, first.rows.slice(0, ROWS_MAX).map((row) =>
      row.map((value, at) => at ? numberText(value) : momentText(value / 1000)))) : h("p", {}, "There is nothing in that time."));
    this.showTools(query);
  }

  // Whoever types a tag keeps what stands in the field, whatever is drawn meanwhile.
  showTools(query) {
    this.shown = query;
    const [name] = query.names;
    if (this.toolsOf !== name) {
      this.toolsOf = name;
      fill(this.tools, this.toolsFor(name), this.byHand);
    }
    fill(this.byHand, command(`roost series query ${shellText(name)} --window ${query.window} --agg ${query.aggregates.join(",")}${stretchOf(query)}`));
  }

  toolsFor(name) {
    const tag = field(`Tag of ${name}`);
    const change = (kind) => doing(async () => {
      await page("/series/tags", { method: "POST", body: JSON.stringify({ name, add: [], remove: [], [kind]: [tag.input.value] }) });
      await this.look();
    });
    return h("div", { class: "row" }, button("CSV of what is shown", doing(() => this.download(this.shown))), tag.element,
      button("Add the tag", change("add")), button("Take the tag away", change("remove")),
      button("Delete what is shown", doing(() => this.remove(this.shown)), { class: "danger" }));
  }

  async download(query) {
    const asked = queryOf(query);
    asked.set("format", "csv");
    asked.delete("precision");
    const link = h("a", { download: "series.csv",
      href: URL.createObjectURL(new Blob([await plain(`/series/query?${asked}`)], { type: "text/csv" })) });
    link.click();
    URL.revokeObjectURL(link.href);
  }

  async remove(query) {
    const [name] = query.names;
    const isAll = query.from === null;
    const stretch = isAll ? "all of its time, and the series itself" : `${momentText(query.from)} to ${momentText(query.to)}`;
    const asked = new URLSearchParams({ name, start: isAll ? "1678-01-01T00:00:00Z" : new Date(query.from * 1000).toISOString(),
      end: isAll ? "2262-01-01T00:00:00Z" : new Date(query.to * 1000).toISOString() });
    const said = await page(`/series/points?${asked}&dry_run=true`, { method: "DELETE" });
    const lines = [`${numberText(said.would_delete)} points will be gone: ${stretch}.`, `roost series delete ${shellText(name)}`];
    if (!await agreed(`Delete points of ${name}`, lines, "Delete them")) return;
    if (isAll) {
      await page(`/series/${encodeURIComponent(name)}`, { method: "DELETE" });
      this.chosen.delete(name);
    } else {
      await page(`/series/points?${asked}`, { method: "DELETE" });
    }
    say("they were deleted");
    await this.look();
    await this.draw();
  }
}

export async function open(place, { signal }) {
  const room = new Room(place, signal);
  await room.look();
  await room.draw();
}
