"""python-etcd3 (gRPC): ordinary use.  Run with a port; each line it prints works."""

import sys
import threading
import time

import etcd3


def main(port: int) -> None:
    client = etcd3.client(host="127.0.0.1", port=port, timeout=10)
    client.put("a/1", "one")
    client.put("a/2", "two", prev_kv=True)
    value, meta = client.get("a/1")
    assert (value, meta.key, meta.version) == (b"one", b"a/1", 1)
    assert [it for it, _ in client.get_prefix("a/", sort_order="descend")] == [b"two", b"one"]
    assert client.replace("a/1", "one", "uno")
    assert not client.replace("a/1", "one", "eins")
    assert client.put_if_not_exists("a/3", "three")
    assert client.delete("a/3")
    assert client.delete_prefix("a/").deleted == 2
    print("keys")

    succeeded, _ = client.transaction(
        compare=[client.transactions.version("t") == 0],
        success=[client.transactions.put("t", "1"), client.transactions.get("t")],
        failure=[client.transactions.delete("t")],
    )
    assert succeeded
    assert client.get("t")[0] == b"1"
    print("transactions")

    events, cancel = client.watch("w", start_revision=client.put("w", "0").header.revision)
    client.put("w", "1")
    client.delete("w")
    seen = [next(events) for _ in range(3)]
    assert [type(it).__name__ for it in seen] == ["PutEvent", "PutEvent", "DeleteEvent"]
    cancel()
    told: list[bytes] = []
    woken = threading.Event()

    def on_news(response: object) -> None:
        told.extend(it.value for it in response.events)
        woken.set()

    watch_id = client.add_watch_prefix_callback("p/", on_news)
    client.put("p/x", "y")
    assert woken.wait(10)
    assert told == [b"y"]
    client.cancel_watch(watch_id)
    print("watches")

    lease = client.lease(20)
    client.put("l", "1", lease=lease)
    assert lease.granted_ttl == 20
    assert lease.keys == [b"l"]
    assert [it.TTL for it in lease.refresh()] == [20]
    lease.revoke()
    assert client.get("l")[0] is None
    short = client.lease(2)
    client.put("l", "1", lease=short)
    deadline = time.monotonic() + 20
    while client.get("l")[0] is not None:
        assert time.monotonic() < deadline
    print("leases")

    with client.lock("lock", ttl=20) as lock:
        assert lock.is_acquired()
        assert not client.lock("lock", ttl=20).acquire(timeout=1)
    print("locks")

    [member] = list(client.members)
    assert member.name == "m0"
    assert client.status().leader.name == "m0"
    assert list(client.list_alarms()) == []
    client.compact(client.put("a", "b").header.revision)
    client.defragment()
    assert client.hash()
    print("members")


main(int(sys.argv[1]))
