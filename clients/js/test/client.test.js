// Against a member: ROOST_ENDPOINT is its URL, ROOST_SERIES is set where it keeps time series.

import assert from "node:assert/strict";
import net from "node:net";
import { after, before, describe, test } from "node:test";

import { Client, compare, Compacted, LeaseGone, op, OperationRefused, OutcomeUnknown, Refusal, RoostError, Unreachable } from "../src/index.js";

const ENDPOINT = process.env.ROOST_ENDPOINT;
const skip = ENDPOINT ? false : "ROOST_ENDPOINT is not set: nothing was tried against a member";

async function take(generator, count) {
  const found = [];
  for await (const it of generator) {
    found.push(it);
    if (found.length === count) break;
  }
  return found;
}

/** A way to the member that can be cut: it ends every connection, and takes the next. */
async function way() {
  const { hostname, port } = new URL(ENDPOINT);
  const sockets = new Set();
  const server = net.createServer((near) => {
    const far = net.connect(Number(port), hostname);
    for (const it of [near, far]) {
      sockets.add(it);
      it.on("error", () => {});
      it.on("close", () => sockets.delete(it));
    }
    near.pipe(far).pipe(near);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const cut = () => sockets.forEach((it) => it.destroy());
  const close = () => {
    cut();
    server.close();
  };
  return { url: `http://127.0.0.1:${server.address().port}`, cut, close };
}

/** A URL at which nobody listens. */
async function nowhere() {
  const server = net.createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return `http://127.0.0.1:${port}`;
}

describe("against a member", { skip }, () => {
  let client;
  before(() => {
    client = new Client(ENDPOINT);
  });

  test("keys are put, read, listed over pages and deleted", async () => {
    assert.equal(await client.get("js/none"), null);
    const { revision } = await client.put("js/a", "1");
    const again = await client.put("js/a", new Uint8Array([0, 255]), { prevKv: true });
    assert.equal(again.revision, revision + 1n);
    assert.equal(again.previous.text, "1");
    const item = await client.get("js/a");
    assert.deepEqual([item.key, item.value, item.version], ["js/a", new Uint8Array([0, 255]), 2n]);
    assert.deepEqual([item.createRevision, item.modRevision, item.lease], [revision, revision + 1n, 0n]);
    assert.equal((await client.get("js/a", { revision })).text, "1");
    for (let round = 0; round < 9; round += 1) {
      await client.txn({ then: Array.from({ length: 120 }, (_, it) => op.put(`js/many/${round}/${it}`, "x")) });
    }
    const found = [];
    for await (const it of client.items("js/many/", { prefix: true })) found.push(it.key);
    assert.equal(found.length, 1080);
    assert.deepEqual(found, [...new Set(found)].sort());
    const page = await client.range("js/many/", { prefix: true, limit: 7, keysOnly: true });
    assert.deepEqual([page.items.length, page.count, page.more], [7, 1080, true]);
    assert.equal((await client.delete("js/many/", { prefix: true })).count, 1080);
    const gone = await client.delete("js/a", { prevKv: true });
    assert.deepEqual([gone.count, gone.previous[0].key], [1, "js/a"]);
  });

  test("a transaction does one thing or the other, at one moment", async () => {
    await client.put("js/t", "1");
    const when = [compare.value("js/t", "=", "1"), compare.version("js/t2", "=", 0)];
    const then = [op.put("js/t2", "2"), op.get("js/t"), op.delete("js/t")];
    const done = await client.txn({ when, then });
    assert.equal(done.succeeded, true);
    assert.equal(done.answers[1].items[0].text, "1");
    assert.equal(done.answers[2].count, 1);
    const not = await client.txn({ when, then, otherwise: [op.get("js/t2")] });
    assert.deepEqual([not.succeeded, not.answers[0].items[0].modRevision], [false, done.revision]);
  });

  test("leases let keys go, tell what they have left, and are held", async () => {
    const { id, ttlS } = await client.leases.grant(60);
    assert.equal(ttlS, 60);
    await client.put("js/leased", "1", { lease: id });
    assert.ok((await client.leases.all()).includes(id));
    const told = await client.leases.timeToLive(id, { keys: true });
    assert.deepEqual([told.grantedS, told.keys.length, told.leftS > 50], [60, 1, true]);
    assert.equal(await client.leases.keepAliveOnce(id), 60);
    const end = new AbortController();
    const held = client.leases.hold(id, end.signal);
    end.abort();
    await held;
    await client.leases.revoke(id);
    assert.equal(await client.get("js/leased"), null);
    for (const ask of [
      () => client.leases.revoke(id),
      () => client.leases.timeToLive(id),
      () => client.leases.keepAliveOnce(id),
      () => client.leases.hold(id, new AbortController().signal),
    ]) {
      await assert.rejects(ask, LeaseGone);
    }
  });

  test("a watch hears all changes from a revision on, in order, over a connection that is cut", async () => {
    const { url, cut, close } = await way();
    try {
      const { revision } = await client.put("js/w/0", "0");
      const heard = [];
      const watching = new Client(url).watch("js/w/", { prefix: true, since: revision, previous: true });
      for await (const it of watching) {
        heard.push(it);
        if (heard.length === 3) break;
        if (heard.length === 1) {
          cut();
          await client.txn({ then: [op.put("js/w/1", "1"), op.delete("js/w/0")] });
        }
      }
      assert.deepEqual(
        heard.map((it) => [it.item.key, it.isDelete, it.previous?.text ?? null]).sort(),
        [["js/w/0", false, null], ["js/w/0", true, "0"], ["js/w/1", false, null]],
      );
      assert.deepEqual([heard[1].revision, heard[2].revision], [revision + 1n, revision + 1n]);
    } finally {
      close();
    }
  });

  test("a watch ends when its signal says so, or what it wants is compacted", async () => {
    const end = new AbortController();
    const watching = client.watch("js/nothing", { signal: end.signal });
    const waiting = watching.next();
    end.abort(new Error("enough"));
    await assert.rejects(waiting, /enough/);
    const { revision } = await client.put("js/c", "1");
    await client.put("js/c", "2");
    await client.compact(revision + 1n);
    await assert.rejects(client.watch("js/c", { since: revision }).next(), (error) => {
      return error instanceof Compacted && error.revision === revision + 1n;
    });
    await assert.rejects(client.get("js/c", { revision }), Refusal);
  });

  test("a member that does not answer is left for the next, and what was lost is said", async () => {
    const dead = await nowhere();
    const both = new Client([dead, ENDPOINT]);
    await both.put("js/both", "1");
    assert.equal((await both.get("js/both")).text, "1");
    await assert.rejects(new Client(dead).put("js/x", "1"), Unreachable);
    const lost = new Client(ENDPOINT, { fetch: () => Promise.reject(new TypeError("terminated")) });
    await assert.rejects(lost.put("js/x", "1"), OutcomeUnknown);
    await assert.rejects(lost.get("js/x"), Unreachable);
    const slow = new Client(ENDPOINT, {
      timeoutMs: 20,
      fetch: (_, { signal }) => new Promise((_, fail) => signal.addEventListener("abort", () => fail(signal.reason))),
    });
    await assert.rejects(slow.get("js/x"), /the time is up/);
  });

  test("operations of the application run, once where that is asked for, and refuse with their own code", async () => {
    assert.deepEqual(await client.run("bank.transfer", ["ada", "bob", 5]), { left: 95, to: "bob" });
    const once = crypto.randomUUID();
    for (let it = 0; it < 2; it += 1) {
      assert.equal((await client.run("bank.transfer", ["ada", "bob", 10], { once })).left, 85);
    }
    await assert.rejects(client.run("bank.transfer", ["ada", "bob", 1000]), (error) => {
      return error instanceof OperationRefused && error.code === "funds" && /not enough money/.test(error.message);
    });
    await assert.rejects(client.run("bank.nothing"), RoostError);
  });

  test("counters count, once by their key, and are heard", async () => {
    const { counters } = client;
    const end = new AbortController();
    assert.deepEqual(await counters.increment({ "js/n": 3, "js/large": 2n ** 60n + 1n }), { "js/n": 3, "js/large": 2n ** 60n + 1n });
    const once = crypto.randomUUID();
    for (let it = 0; it < 2; it += 1) assert.deepEqual(await counters.increment({ "js/n": 2 }, { once }), { "js/n": 5 });
    assert.deepEqual(await counters.read("js/n", "js/none"), { "js/n": 5, "js/none": null });
    assert.deepEqual(await take(counters.all("js/"), 2), [["js/large", 2n ** 60n + 1n], ["js/n", 5]]);
    const watching = counters.watch("js/w", { signal: end.signal });
    const first = watching.next();
    const heard = (async () => (await first).value)();
    // Until it is heard: it is counted from when the member has begun to listen.
    let done = false;
    heard.finally(() => (done = true));
    for (let count = 1; !done; count += 1) {
      await counters.increment({ "js/w": 1 });
      assert.ok(count < 10_000);
    }
    assert.ok((await heard)["js/w"] > 0);
    end.abort();
    await watching.return().catch(() => {});
    assert.equal(await counters.delete("js/n"), 5);
    assert.equal(await counters.delete("js/never"), null);
    await assert.rejects(() => counters.increment({ x: 0.5 }), TypeError);
    await assert.rejects(counters.increment({ "": 1 }), (error) => error instanceof Refusal && error.status === 400);
  });

  test("series take points and answer windows", { skip: process.env.ROOST_SERIES ? false : "the member keeps no series" }, async () => {
    const { series } = client;
    await series.write("m,place=hall f=1.5 1700000000\nm,place=hall f=2.5 1700000060", { precision: "s" });
    const points = [
      { series: "js.temp", time: new Date(1_700_000_000_000), value: 3 },
      { series: "js.temp", time: 1_700_000_060_000_000_000n, value: 5 },
    ];
    assert.equal(await series.append(points), 2);
    const range = { start: "2023-11-14T22:00:00Z", end: "2023-11-14T23:00:00Z" };
    const [raw] = await series.query({ name: "js.temp", ...range });
    assert.deepEqual(raw.rows.map((it) => it[1]), [3, 5]);
    const [hour] = await series.query({ name: "m.f", ...range, window: "1h", agg: "mean,count" });
    assert.deepEqual([hour.labels, hour.rows[0].slice(1)], [{ place: "hall" }, [2, 2]]);
    assert.ok(JSON.stringify(await series.list({ prefix: "js." })).includes("js.temp"));
    assert.ok(JSON.stringify(await series.last({ name: "js.temp" })).includes("5"));
    await assert.rejects(series.query({ name: "js.temp", nonsense: 1 }), Refusal);
    const end = new AbortController();
    const heard = series.tail({ name: "js.temp" }, { signal: end.signal }).next();
    // Until it is heard: points are told from when the member has begun to listen.
    let done = false;
    heard.finally(() => (done = true));
    for (let count = 1; !done; count += 1) {
      const time = BigInt(1_700_000_100 + count) * 1_000_000_000n;
      await series.append([{ series: "js.temp", time, value: 8 }]);
      assert.ok(count < 10_000);
    }
    const { value: said } = await heard;
    assert.deepEqual([said.name, said.points[0][1], said.missed], ["js.temp", 8, false]);
    end.abort();
  });

  describe("while users are on", () => {
    const name = "root";
    const post = async (path, body, token) => {
      const headers = token ? { authorization: token } : {};
      const answer = await fetch(`${ENDPOINT}/v3/auth/${path}`, { method: "POST", body: JSON.stringify(body), headers });
      assert.ok(answer.ok, await answer.clone().text());
      return answer.json();
    };
    before(async () => {
      await post("user/add", { name, password: "a long secret" });
      await post("user/grant", { user: name, role: "root" });
      await post("enable", {});
    });
    after(async () => {
      const { token } = await post("authenticate", { name, password: "a long secret" });
      await post("disable", {}, token);
    });

    test("whoever says who they are is let in, and logs in again when the token is gone", async () => {
      await assert.rejects(client.put("js/auth", "1"), Refusal);
      const tokens = [];
      let isOld = false;
      const mine = new Client(ENDPOINT, {
        user: name,
        password: "a long secret",
        fetch: (url, options) => {
          if (options.headers.authorization) tokens.push(options.headers.authorization);
          if (isOld) options = { ...options, headers: { ...options.headers, authorization: "gone.1" } };
          isOld = false;
          return fetch(url, options);
        },
      });
      await Promise.all([mine.put("js/auth", "1"), mine.put("js/auth", "2")]);
      isOld = true;
      await mine.put("js/auth", "3");
      assert.equal((await mine.get("js/auth")).text, "3");
      assert.ok(new Set(tokens).size >= 2);
      const { token } = await post("authenticate", { name, password: "a long secret" });
      assert.equal((await new Client(ENDPOINT, { token }).get("js/auth")).text, "3");
      await assert.rejects(new Client(ENDPOINT, { token: "gone.1" }).get("js/auth"), Refusal);
      const wrong = new Client(ENDPOINT, { user: name, password: "another" });
      await assert.rejects(wrong.put("js/auth", "1"), Refusal);
    });
  });
});
