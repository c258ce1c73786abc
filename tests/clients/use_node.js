// etcd3 for Node (gRPC): ordinary use.  Run with a port; each line it prints is something that works.
const assert = require("assert");
const { Etcd3 } = require("etcd3");

async function main(port) {
  const client = new Etcd3({ hosts: `http://127.0.0.1:${port}` });
  await client.put("a/1").value("one");
  await client.put("a/2").value("two");
  assert.strictEqual(await client.get("a/1").string(), "one");
  assert.deepStrictEqual(await client.getAll().prefix("a/").strings(), { "a/1": "one", "a/2": "two" });
  assert.deepStrictEqual(await client.getAll().prefix("a/").sort("Key", "Descend").limit(1).keys(), ["a/2"]);
  await client.delete().prefix("a/");
  assert.strictEqual(await client.get("a/1").string(), null);
  console.log("keys");

  const done = await client.if("t", "Version", "==", 0).then(client.put("t").value("1")).else(client.delete().key("t")).commit();
  assert(done.succeeded);
  console.log("transactions");

  const watcher = await client.watch().prefix("w").create();
  const seen = new Promise((resolve) => {
    const rows = [];
    const note = (kind) => (kv) => {
      rows.push(kind + kv.key.toString());
      if (rows.length === 2) resolve(rows);
    };
    watcher.on("put", note("put "));
    watcher.on("delete", note("delete "));
  });
  await client.put("w1").value("1");
  await client.delete().key("w1");
  assert.deepStrictEqual(await seen, ["put w1", "delete w1"]);
  await watcher.cancel();
  console.log("watches");

  const lease = client.lease(20);
  await lease.put("l").value("1");
  await lease.keepaliveOnce();
  await lease.revoke();
  assert.strictEqual(await client.get("l").string(), null);
  console.log("leases");

  const lock = client.lock("lock").ttl(20);
  await lock.acquire();
  await assert.rejects(client.lock("lock").ttl(20).acquire());
  await lock.release();
  const election = client.election("leader", 20);
  const campaign = election.campaign("me");
  await new Promise((resolve, reject) => { campaign.on("elected", resolve); campaign.on("error", reject); });
  assert.strictEqual(await election.leader(), "me");
  await campaign.resign();
  console.log("locks");

  const members = await client.cluster.memberList({});
  assert.deepStrictEqual(members.members.map((it) => it.name), ["m0"]);
  assert((await client.maintenance.status({})).version.startsWith("3."));
  console.log("members");
  client.close();
}

main(process.argv[2]).catch((error) => { console.error(error); process.exit(1); });
