// Watches: every change of some keys, in order, without a gap or a duplicate, whichever member tells it.

import { pause } from "./connection.js";
import { Compacted, Refusal, RoostError, Unreachable } from "./errors.js";
import { Item, rangeOf } from "./keys.js";
import { big } from "./values.js";

/**
 * @typedef {object} Change
 * @property {boolean} isDelete
 * @property {Item} item  the key with its revision; without a value where it was deleted
 * @property {Item | null} previous  what was there before, if that was asked for and there was something
 * @property {bigint} revision
 *
 * @typedef {import("./keys.js").Span & { since?: bigint, previous?: boolean, signal?: AbortSignal }} Watching
 */

/**
 * @param {import("./connection.js").Connection} connection  @param {import("./values.js").Data} key
 * @param {Watching} watching
 * @returns {AsyncGenerator<Change>}
 */
export async function* watch(connection, key, watching) {
  const { since, previous, signal } = watching;
  let next = since ?? 0n;
  let tries = 0;
  for (;;) {
    const create = { ...rangeOf(key, watching), start_revision: String(next), prev_kv: previous };
    try {
      for await (const said of connection.follow("watch", { create_request: create }, { signal })) {
        if (said.canceled) throw endOf(said);
        tries = 0;
        // From where it goes on elsewhere, if nothing comes before this connection ends.
        if (said.created && !next) next = big(said.header?.revision) + 1n;
        for (const it of said.events ?? []) {
          const change = changeOf(it);
          yield change;
          // An answer has all changes of a revision, and all of it has been handed on before it is wanted again.
          next = change.revision + 1n;
        }
      }
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      const isLost = error instanceof Unreachable || (error instanceof Refusal && error.isPassing);
      // What is none of ours is what a broken connection raises while it is read from.
      if (!isLost && error instanceof RoostError) throw error;
    }
    connection.turn();
    await pause(tries, signal);
    tries += 1;
  }
}

/** @param {any} said  a mvccpb.Event  @returns {Change} */
function changeOf(said) {
  const item = new Item(said.kv);
  return {
    isDelete: said.type === "DELETE",
    item,
    previous: said.prev_kv ? new Item(said.prev_kv) : null,
    revision: item.modRevision,
  };
}

/** Why a member has ended a watch.  @param {any} said */
function endOf(said) {
  const revision = big(said.compact_revision);
  if (revision) return new Compacted(revision);
  return new Refusal(400, said.cancel_reason || "the watch was ended", undefined);
}
