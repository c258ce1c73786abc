// The client: keys and transactions by themselves, leases, counters and series beside them.

import { Connection } from "./connection.js";
import { Counters } from "./counters.js";
import { OperationRefused, RoostError } from "./errors.js";
import { deletedOf, deletingOf, puttingOf, putOf, readingOf, readOf, stepOf } from "./keys.js";
import { Leases } from "./leases.js";
import { decode, encode } from "./msgpack.js";
import { TimeSeries } from "./series.js";
import { big, fromBase64, toBase64 } from "./values.js";
import { watch } from "./watch.js";

/** @typedef {import("./values.js").Data} Data */
/** @typedef {import("./keys.js").Item} Item */

// Of one page of `items`.
const PAGE_KEYS = 1000;

export class Client {
  #connection;

  /**
   * @param {string | string[]} endpoints  URLs of members; the next is asked when one does not answer
   * @param {import("./connection.js").ClientOptions} [options]
   */
  constructor(endpoints, options = {}) {
    this.#connection = new Connection(endpoints, options);
    this.leases = new Leases(this.#connection);
    this.counters = new Counters(this.#connection);
    this.series = new TimeSeries(this.#connection);
  }

  /** A key; null when it is not there.  @param {Data} key  @param {import("./keys.js").Reading} [reading]  @returns {Promise<Item | null>} */
  async get(key, reading) {
    return (await this.range(key, reading)).items[0] ?? null;
  }

  /** Keys of a range, in one answer.  @param {Data} key  @param {import("./keys.js").Reading} [reading] */
  async range(key, reading) {
    return readOf(await this.#connection.call("kv/range", readingOf(key, reading), { isRepeatable: true }));
  }

  /**
   * Keys of a range, however many there are: page by page, and all of one revision.
   * @param {Data} key  @param {import("./keys.js").Reading} [reading]
   * @returns {AsyncGenerator<Item>}
   */
  async *items(key, reading = {}) {
    let { revision } = reading;
    let request = readingOf(key, { ...reading, limit: PAGE_KEYS });
    for (;;) {
      const page = readOf(await this.#connection.call("kv/range", request, { isRepeatable: true }));
      yield* page.items;
      const last = page.items.at(-1);
      if (!page.more || !last) return;
      revision ??= page.revision;
      const next = new Uint8Array(last.keyBytes.length + 1);
      next.set(last.keyBytes);
      request = { ...request, key: toBase64(next), revision: String(revision) };
    }
  }

  /**
   * Put a key; when it resolves that is durable on a majority.
   * @param {Data} key  @param {Data} value  @param {import("./keys.js").Putting} [putting]
   */
  async put(key, value, putting) {
    return putOf(await this.#connection.call("kv/put", puttingOf(key, value, putting)));
  }

  /** Delete a key, or all of a range.  @param {Data} key  @param {import("./keys.js").Deleting} [deleting] */
  async delete(key, deleting) {
    return deletedOf(await this.#connection.call("kv/deleterange", deletingOf(key, deleting)));
  }

  /**
   * Do all of `then` at one moment if all of `when` holds, else all of `otherwise`.
   * @param {{ when?: object[], then?: object[], otherwise?: object[] }} parts  made by `compare` and `op`
   */
  async txn({ when = [], then = [], otherwise = [] }) {
    const said = await this.#connection.call("kv/txn", { compare: when, success: then, failure: otherwise });
    return {
      succeeded: Boolean(said.succeeded),
      revision: big(said.header?.revision),
      answers: (said.responses ?? []).map(stepOf),
    };
  }

  /** Refuse reads below a revision from now on.  @param {bigint} revision */
  async compact(revision) {
    await this.#connection.call("kv/compaction", { revision: String(revision) });
  }

  /**
   * Every change of a key or a range, for ever: `break` out of it, or give a signal.  It goes on at another member when
   * its own is gone.
   * @param {Data} key  @param {import("./watch.js").Watching} [watching]
   * @returns {AsyncGenerator<import("./watch.js").Change>}
   * @throws {import("./errors.js").Compacted} what was to come first is not kept any more
   */
  watch(key, watching = {}) {
    return watch(this.#connection, key, watching);
  }

  /**
   * Run an operation of the application that the members are in, `"bank.transfer"`; what it returns.
   *
   * With `once`, a key of yours, asking again is answered by what the first run answered; so it is asked again by itself.
   * @param {string} name  @param {unknown[]} [args]  in the order of its parameters  @param {{ once?: Data }} [options]
   * @returns {Promise<any>}
   * @throws {OperationRefused} it said no; nothing of it is kept
   */
  async run(name, args = [], { once } = {}) {
    const body = { name, arguments: toBase64(encode(args)), once: once === undefined ? undefined : toBase64(once) };
    const said = await this.#connection.call("operations/run", body, { isRepeatable: once !== undefined });
    const answer = fromBase64(said.answer);
    try {
      const content = decode(answer.subarray(1));
      if (answer[0] === 0) return content;
      throw new OperationRefused(.../** @type {[string, string, string]} */ (content));
    } catch (error) {
      if (error instanceof RoostError) throw error;
      throw new RoostError(`the answer to ${name} cannot be read`, { cause: error });
    }
  }

  /** The member that answers: its version, who leads, how large its store is.  @returns {Promise<any>} */
  async status() {
    return this.#connection.call("maintenance/status", {}, { isRepeatable: true });
  }
}
