// Counters: they count at every member, also while members cannot reach each other.
//
// A value is a number, or a bigint where a number does not hold it exactly.

import { bodyOf, pause } from "./connection.js";
import { Refusal, RoostError, Unreachable } from "./errors.js";
import { events } from "./streams.js";
import { parseExactly } from "./values.js";

/** @typedef {number | bigint} Count */

export class Counters {
  #connection;

  /** @param {import("./connection.js").Connection} connection */
  constructor(connection) {
    this.#connection = connection;
  }

  /**
   * Count; what each reads then.  All of it counts, or nothing.
   *
   * With `once`, a key of yours, the same may be asked again at the same member until it answers, and counts once.
   * @param {Record<string, Count> | Map<string, Count>} changes  by how much, by names
   * @param {{ once?: string }} [options]
   * @returns {Promise<Record<string, Count>>}
   */
  async increment(changes, { once } = {}) {
    const rows = [...(changes instanceof Map ? changes : Object.entries(changes))];
    // A bigint has no JSON of its own.
    const body = `[${rows.map(([name, by]) => `[${JSON.stringify(name)},${wholeOf(by)}]`).join()}]`;
    const headers = once ? { "idempotency-key": once } : {};
    const answer = await this.#connection.ask("/counters/increment", { method: "POST", body, headers });
    return parseExactly(await answer.text());
  }

  /** What they read; null = it is not there.  @param {...string} names  @returns {Promise<Record<string, Count | null>>} */
  async read(...names) {
    const query = new URLSearchParams([...names.map((it) => ["id", it]), ["missing", "null"]]);
    const answer = await this.#connection.ask(`/counters/read?${query}`, { isRepeatable: true });
    return parseExactly(await answer.text());
  }

  /** All of a prefix, in the order of their names.  @param {string} [prefix]  @returns {AsyncGenerator<[string, Count]>} */
  async *all(prefix = "") {
    for (let after = ""; after !== null; ) {
      const query = new URLSearchParams({ prefix, after });
      const answer = await this.#connection.ask(`/counters?${query}`, { isRepeatable: true });
      const page = parseExactly(await answer.text());
      yield* Object.entries(page.counters);
      after = page.after;
    }
  }

  /** Take away what the member that is asked has heard; how much that was.  @param {string} name  @returns {Promise<Count | null>} */
  async delete(name) {
    try {
      const answer = await this.#connection.ask(`/counters/${encodeURIComponent(name)}`, { method: "DELETE" });
      return parseExactly(await answer.text()).value;
    } catch (error) {
      if (error instanceof Refusal && error.status === 404) return null;
      throw error;
    }
  }

  /**
   * Every total of a prefix that changes, from now on; null = it was deleted.  After a connection was lost all totals come first.
   * @param {string} [prefix]  @param {{ signal?: AbortSignal }} [options]
   * @returns {AsyncGenerator<Record<string, Count | null>>}
   */
  async *watch(prefix = "", { signal } = {}) {
    const path = `/counters/watch?${new URLSearchParams({ prefix })}`;
    let lastId = "";
    for (let tries = 0; ; tries += 1) {
      try {
        const headers = lastId ? { "last-event-id": lastId } : {};
        const answer = await this.#connection.ask(path, { headers, signal, isRepeatable: true, isStream: true });
        for await (const event of events(bodyOf(answer), lastId)) {
          tries = 0;
          yield parseExactly(event.data);
          lastId = event.id;
        }
      } catch (error) {
        if (signal?.aborted) throw signal.reason;
        const isLost = error instanceof Unreachable || (error instanceof Refusal && error.isPassing);
        if (!isLost && error instanceof RoostError) throw error;
      }
      // Whoever comes back is told all: something may have been missed.
      lastId ||= "0";
      this.#connection.turn();
      await pause(tries, signal);
    }
  }
}

/** @param {Count} count */
function wholeOf(count) {
  if (typeof count === "bigint" || Number.isSafeInteger(count)) return String(count);
  throw new TypeError(`${count} is no whole number that is held exactly`);
}
