// What the member says of the cluster, as it comes, and what graphs are made of.

import { listen, Refusal } from "./api.js";
import { History, rate } from "./scale.js";

// Without news for so long, what is shown is old: states come once a second.
export const OLD_S = 3.5;
const HAPPENINGS_MAX = 300;

/** Graphs: what they are called, their unit, and the number for a stretch of time. */
export const GRAPHS = [
  ["Puts", "a second, by the member that led", (it) => it.rate("etcd_mvcc_put_total")],
  ["Reads", "ranges a second", (it) => it.rate("etcd_mvcc_range_total")],
  ["Watch events", "a second", (it) => it.rate("etcd_debugging_mvcc_events_total")],
  ["Journal sync", "ms on average", (it) => it.mean("etcd_disk_wal_fsync_duration_seconds")],
  ["Entries applied", "a second", (it) => it.growth((facts) => facts.applied_index)],
  ["Connections", "of clients", (it) => it.now("roost_client_connections")],
];

class Stretch {
  constructor(before, now, seconds) {
    Object.assign(this, { before, after: now, seconds });
  }

  now(name) { return this.after.figures[name] ?? null; }

  growth(pick) { return rate(pick(this.before), pick(this.after), this.seconds); }

  rate(name) { return this.growth((it) => it.figures[name] ?? 0); }

  mean(name) {
    const count = this.rate(`${name}_count`), sum = this.rate(`${name}_sum`);
    return count ? (1000 * sum) / count : null;
  }
}

/** The cluster, for all rooms; it tells of "state" and of "freshness". */
export class Cluster extends EventTarget {
  state = null;
  happenings = [];
  /** Graph by its name -> member's name -> History. */
  graphs = new Map(GRAPHS.map(([name]) => [name, new Map()]));
  /** Member's id -> History of the milliseconds that it took to answer the leader. */
  latencies = new Map();
  /** Why nothing comes; empty while something does. */
  trouble = "";
  #facts = new Map();
  #heardMs = -Infinity;
  #retry = null;

  /** Seconds since the last news. */
  get age() { return (performance.now() - this.#heardMs) / 1000; }

  get isOld() { return this.age > OLD_S; }

  nameOf(id) {
    const row = this.state?.members.find((it) => it.id === id);
    return row?.name || id || "nobody";
  }

  /** Ask again now, where a pause is being made. */
  hurry() { this.#retry?.(); }

  /** Listen for ever; a stream that ends is asked for again after a pause that grows. */
  async run() {
    let lastId = "", pauseMs = 250;
    setInterval(() => this.dispatchEvent(new Event("freshness")), 500);
    for (;;) {
      try {
        for await (const { kind, data, id } of listen("events", lastId)) {
          lastId = id;
          if (kind === "refused") throw new Refusal(401, JSON.parse(data));
          pauseMs = 250;
          this.take(JSON.parse(data));
        }
        this.trouble = "the connection ended";
      } catch (error) {
        this.trouble = error.message;
      }
      this.dispatchEvent(new Event("freshness"));
      await new Promise((resolve) => {
        this.#retry = resolve;
        setTimeout(resolve, pauseMs * (0.5 + Math.random()));
      });
      pauseMs = Math.min(5000, pauseMs * 2);
    }
  }

  /** Take a state. */
  take(state) {
    this.#heardMs = performance.now();
    this.trouble = "";
    this.state = state;
    this.happenings = [...state.happenings.toReversed(), ...this.happenings].slice(0, HAPPENINGS_MAX);
    for (const row of state.members) {
      if (row.facts && row.age_s !== null) this.#note(row, state.at_s - row.age_s);
    }
    this.dispatchEvent(new Event("state"));
    this.dispatchEvent(new Event("freshness"));
  }

  #note(row, atS) {
    const before = this.#facts.get(row.id);
    // Facts that were told before are told again until there are newer ones.
    if (before && row.facts.uptime_s === before.facts.uptime_s) return;
    this.#facts.set(row.id, { facts: row.facts, atS });
    if (row.facts.role === "leader") {
      for (const it of row.facts.latencies) {
        if (!it.answered_count) continue;
        if (!this.latencies.has(it.member)) this.latencies.set(it.member, new History());
        this.latencies.get(it.member).add(atS, it.last_ms);
      }
    }
    if (!before || row.facts.uptime_s < before.facts.uptime_s) return;
    const stretch = new Stretch(before.facts, row.facts, row.facts.uptime_s - before.facts.uptime_s);
    for (const [name, , number] of GRAPHS) {
      const lines = this.graphs.get(name);
      if (!lines.has(row.id)) lines.set(row.id, new History());
      lines.get(row.id).add(atS, number(stretch));
    }
  }

  /** Lines of a graph, in the order of members. */
  lines(name) {
    const found = this.graphs.get(name);
    return (this.state?.members ?? []).filter((it) => found.has(it.id))
      .map((it) => ({ name: it.name || it.id, points: found.get(it.id).points }));
  }
}
