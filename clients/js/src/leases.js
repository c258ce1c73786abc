// Leases: keys that go away together, unless somebody says in time that they shall stay.

import { pause } from "./connection.js";
import { LeaseGone, Refusal, Unreachable } from "./errors.js";
import { big, fromBase64 } from "./values.js";

// gRPC's NOT_FOUND.
const NOT_FOUND = 5;

export class Leases {
  #connection;

  /** @param {import("./connection.js").Connection} connection */
  constructor(connection) {
    this.#connection = connection;
  }

  /**
   * @param {number} ttlS  seconds without a sign of life after which its keys go
   * @param {bigint} [id]  drawn by the member where nothing is said
   * @returns {Promise<{ id: bigint, ttlS: number }>}
   */
  async grant(ttlS, id = 0n) {
    const said = await this.#connection.call("lease/grant", { TTL: String(ttlS), ID: String(id) });
    return { id: big(said.ID), ttlS: Number(said.TTL) };
  }

  /** Let its keys go now.  @param {bigint} id */
  async revoke(id) {
    await this.#known(id, () => this.#connection.call("lease/revoke", { ID: String(id) }));
  }

  /**
   * @param {bigint} id  @param {{ keys?: boolean }} [options]
   * @returns {Promise<{ leftS: number, grantedS: number, keys: Uint8Array[] }>}
   * @throws {LeaseGone}
   */
  async timeToLive(id, { keys } = {}) {
    const body = { ID: String(id), keys };
    const said = await this.#known(id, () => this.#connection.call("lease/timetolive", body, { isRepeatable: true }));
    const leftS = Number(said.TTL ?? 0);
    if (leftS < 0) throw new LeaseGone(id);
    return { leftS, grantedS: Number(said.grantedTTL ?? 0), keys: (said.keys ?? []).map(fromBase64) };
  }

  /** @returns {Promise<bigint[]>} */
  async all() {
    const said = await this.#connection.call("lease/leases", {}, { isRepeatable: true });
    return (said.leases ?? []).map((it) => big(it.ID));
  }

  /** Say once that it shall stay; seconds that it has from now on.  @param {bigint} id  @param {AbortSignal} [signal] */
  async keepAliveOnce(id, signal) {
    for await (const said of this.#connection.follow("lease/keepalive", { ID: String(id) }, { signal })) {
      const ttlS = Number(said.TTL ?? 0);
      if (ttlS <= 0) throw new LeaseGone(id);
      return ttlS;
    }
    throw new Unreachable("the member has not said whether the lease stays");
  }

  /**
   * Keep it until the signal says so.  Resolves then; rejects with LeaseGone when it has run out all the same.
   * @param {bigint} id  @param {AbortSignal} signal
   */
  async hold(id, signal) {
    let tries = 0;
    while (!signal.aborted) {
      try {
        const ttlS = await this.keepAliveOnce(id, signal);
        tries = 0;
        await wait((ttlS * 1000) / 3, signal);
      } catch (error) {
        if (signal.aborted) return;
        const isPassing = error instanceof Unreachable || (error instanceof Refusal && error.isPassing);
        if (!isPassing && error instanceof Error && error.name !== "TypeError") throw error;
        await pause(tries, signal).catch(() => {});
        tries += 1;
      }
    }
  }

  /** @template T  @param {bigint} id  @param {() => Promise<T>} ask  @returns {Promise<T>} */
  async #known(id, ask) {
    try {
      return await ask();
    } catch (error) {
      if (error instanceof Refusal && error.code === NOT_FOUND) throw new LeaseGone(id);
      throw error;
    }
  }
}

/** @param {number} milliseconds  @param {AbortSignal} signal  @returns {Promise<void>} */
function wait(milliseconds, signal) {
  return new Promise((done) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      done();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();
  });
}
