// node-etcd (v2): ordinary use.  Run with a port; each line it prints works.
const assert = require("assert");
const Etcd = require("node-etcd");

const etcd = new Etcd(`http://127.0.0.1:${process.argv[2]}`);

// A call as a promise of what its body says; one that failed is of its error code.
function ask(method, ...args) {
  return new Promise((resolve) =>
    etcd[method](...args, (error, said) => resolve(error ? error.errorCode : said)),
  );
}

async function keys() {
  assert.equal((await ask("set", "a/b", "1")).node.value, "1");
  assert.equal((await ask("get", "a/b")).node.value, "1");
  assert.equal(await ask("get", "nothing"), 100);
  assert.equal(await ask("compareAndSwap", "a/b", "2", "0"), 101);
  assert.equal((await ask("compareAndSwap", "a/b", "2", "1")).action, "compareAndSwap");
  const first = (await ask("create", "q", "x")).node.key;
  const second = (await ask("create", "q", "y")).node.key;
  assert(first < second);
  await ask("mkdir", "dir");
  await ask("set", "dir/x", "1", { ttl: 60 });
  assert.equal(await ask("rmdir", "dir"), 108);
  await ask("rmdir", "dir", { recursive: true });
  assert.equal(await ask("get", "dir/x"), 100);
  console.log("keys");
}

async function watches() {
  await ask("set", "w", "0");
  const waiting = ask("watch", "w");
  const heard = [];
  const watcher = etcd.watcher("w");
  const all = new Promise((resolve) =>
    watcher.on("change", (event) => heard.push(event.node.value) === 3 && resolve()),
  );
  let is_over = false;
  all.then(() => (is_over = true));
  for (let value = 1; !is_over; value++) await ask("set", "w", String(value));
  await all;
  watcher.stop();
  assert.equal((await waiting).action, "set");
  const numbers = heard.slice(0, 3).map(Number);
  assert.deepEqual(numbers, [numbers[0], numbers[0] + 1, numbers[0] + 2], "none is missed");
  console.log("watches");
}

async function members() {
  assert.equal((await ask("selfStats")).state, "StateLeader");
  assert((await ask("version")));
  console.log("members");
}

keys()
  .then(watches)
  .then(members)
  .then(() => process.exit(0))
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
