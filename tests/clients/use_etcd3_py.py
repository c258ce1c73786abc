"""etcd3-py (the JSON gateway): ordinary use.  Run with a port; each line it prints works."""

import sys
import threading

from etcd3 import Client


def main(port: int) -> None:
    client = Client("127.0.0.1", port)
    client.put("a/1", "one")
    client.put("a/2", "two")
    assert client.range("a/1").kvs[0].value == b"one"
    assert [it.value for it in client.range(prefix=True, key="a/").kvs] == [b"one", b"two"]
    assert client.delete_range("a/1").deleted == 1
    print("keys")

    txn = client.Txn()
    txn.compare(txn.key("t").version == 0)
    txn.success(txn.put("t", "1"))
    txn.failure(txn.delete("t"))
    assert txn.commit().succeeded
    print("transactions")

    watcher = client.Watcher(key="w", start_revision=client.put("w", "0").header.revision)
    with watcher:
        client.put("w", "1")
        values = []
        for event in watcher:
            values.append(event.value)
            if len(values) == 2:
                break
    assert values == [b"0", b"1"], values
    print("watches")

    with client.Lease(ttl=20) as lease:
        client.put("l", "1", lease=lease.ID)
        assert lease.ttl() > 10
        assert lease.alive()
        lease.keepalive_once()
    assert not client.range("l").kvs
    print("leases")

    entered = threading.Event()

    def other() -> None:
        with Client("127.0.0.1", port).Lock("lock", lock_ttl=20):
            entered.set()

    with client.Lock("lock", lock_ttl=20):
        thread = threading.Thread(target=other)
        thread.start()
        assert not entered.wait(0.5)
    assert entered.wait(20)
    thread.join()
    print("locks")

    assert [it.name for it in client.member_list().members] == ["m0"]
    assert client.status().version.startswith("3.")
    client.user_add("u", "password")
    client.role_add("r")
    client.role_grant_permission("r", key="k", permType="READWRITE")
    client.user_grant_role("u", "r")
    assert client.user_list().users == ["u"]
    print("members")


main(int(sys.argv[1]))
