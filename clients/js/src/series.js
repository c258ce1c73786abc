// Time series: writing points, asking for windows, hearing points as they come.

import { bodyOf } from "./connection.js";
import { RoostError } from "./errors.js";
import { events } from "./streams.js";

/**
 * @typedef {Record<string, string | number | boolean | string[] | undefined>} Parameters  as the reference has them;
 *   an array says one of them several times
 *
 * @typedef {object} Series
 * @property {string} name
 * @property {Record<string, string>} labels
 * @property {string[]} columns
 * @property {Array<Array<string | number | null>>} rows
 *
 * @typedef {object} Point
 * @property {string} series  `name` or `name{label=value}`
 * @property {string | number | bigint | Date} time  RFC 3339, nanoseconds since 1970, or a Date
 * @property {number} value
 */

export class TimeSeries {
  #connection;

  /** @param {import("./connection.js").Connection} connection */
  constructor(connection) {
    this.#connection = connection;
  }

  /**
   * Write lines of InfluxDB's protocol; when it resolves they are durable.
   * @param {string} text  @param {{ precision?: "ns" | "us" | "ms" | "s" | "m" | "h" }} [options]
   */
  async write(text, options = {}) {
    await this.#connection.ask(`/write${queryOf(options)}`, { method: "POST", body: text, isRepeatable: true });
  }

  /** Write points; how many were taken.  @param {Iterable<Point>} points  @returns {Promise<number>} */
  async append(points) {
    const body = [...points].map(lineOf).join("");
    const headers = { "content-type": "text/plain" };
    // A point that is written twice is there once: it may be asked again.
    const answer = await this.#connection.ask("/series/append", { method: "POST", body, headers, isRepeatable: true });
    const last = (await answer.text()).trim().split("\n").at(-1) ?? "{}";
    const said = JSON.parse(last);
    if (!said.done) throw new RoostError(said.message ?? said.error ?? "the points were not taken");
    return said.points;
  }

  /**
   * Points or windows of series.
   * @param {Parameters} parameters  `name` or `tag`, `start`, `end`, `window`, `agg`, `fill`, `tz`, ...
   * @returns {Promise<Series[]>}
   */
  async query(parameters) {
    return (await this.#page("/series/query", parameters)).series;
  }

  /** The last point of each series.  @param {Parameters} parameters  `name` or `tag`  @returns {Promise<any>} */
  async last(parameters) {
    return this.#page("/series/last", parameters);
  }

  /** A page of the list of series.  @param {Parameters} [parameters]  @returns {Promise<any>} */
  async list(parameters = {}) {
    return this.#page("/series", parameters);
  }

  /**
   * Points as they come, until the connection or the signal ends it; `missed` says that some did not come in time.
   * @param {Parameters} parameters  `name` or `tag`  @param {{ signal?: AbortSignal }} [options]
   * @returns {AsyncGenerator<{ name: string, points: Array<[string | number, number]>, missed: boolean }>}
   */
  async *tail(parameters, { signal } = {}) {
    const path = `/series/tail${queryOf(parameters)}`;
    const answer = await this.#connection.ask(path, { signal, isRepeatable: true, isStream: true });
    for await (const event of events(bodyOf(answer))) {
      const { name = "", points = [] } = JSON.parse(event.data);
      yield { name, points, missed: event.kind === "missed" };
    }
  }

  /** @param {string} path  @param {Parameters} parameters */
  async #page(path, parameters) {
    const headers = { accept: "application/json" };
    return (await this.#connection.ask(path + queryOf(parameters), { headers, isRepeatable: true })).json();
  }
}

/** @param {Parameters} parameters */
function queryOf(parameters) {
  const rows = Object.entries(parameters).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : value === undefined ? [] : [value]).map((it) => [name, String(it)]),
  );
  return rows.length ? `?${new URLSearchParams(rows)}` : "";
}

/** @param {Point} point */
function lineOf({ series, time, value }) {
  if (/[\r\n]/.test(series)) throw new TypeError("the name of a series is one line");
  const when = time instanceof Date ? time.toISOString() : String(time);
  return `${series} ${when} ${value}\n`;
}
