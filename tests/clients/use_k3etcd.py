"""k3etcd (v2): keys, watches, members, statistics, users.

Run with a port; each line it prints works.
"""

import sys
import threading

import k3etcd
from k3etcd import Client

READ_TIMEOUT_S = 60
PASSWORD = "secret"


def raises(kind: type[Exception], call: object, *args: object, **named: object) -> None:
    try:
        call(*args, **named)
    except kind:
        return
    raise AssertionError(f"{kind} was not raised")


def keys(client: Client) -> None:
    client.set("/a/b", "1")
    assert client.get("/a/b").value == "1"
    raises(k3etcd.EcodeKeyNotFound, client.get, "/nothing")
    raises(k3etcd.EcodeTestFailed, client.test_and_set, "/a/b", "2", prevValue="0")
    client.test_and_set("/a/b", "2", prevValue="1")
    raises(k3etcd.EcodeNodeExist, client.write, "/a/b", "3", prevExist=False)
    client.mkdir("/d")
    client.write("/d", "x", append=True)
    client.write("/d", "y", append=True)
    assert sorted(it.value for it in client.lsdir("/d").leaves) == ["x", "y"]
    raises(k3etcd.EcodeDirNotEmpty, client.deldir, "/d")
    client.rdeldir("/d")
    client.set("/t", "soon", ttl=600)
    client.refresh("/t", ttl=1200)
    assert client.get("/t").ttl > 600
    client.test_and_delete("/a/b", prevValue="2")
    raises(k3etcd.EcodeKeyNotFound, client.get, "/a/b")


def watches(client: Client) -> None:
    index = client.set("/w", "0").modifiedIndex
    heard: list[str] = []
    waiting = threading.Thread(
        target=lambda: heard.append(client.watch("/w", waitindex=index + 1, timeout=60).value)
    )
    waiting.start()
    Client(port=client.port, read_timeout=READ_TIMEOUT_S).set("/w", "1")
    waiting.join(60)
    assert heard == ["1"]


def members(client: Client) -> None:
    assert client.names == ["m0"]
    assert client.leader["name"] == "m0"
    assert client.st_store["setsSuccess"] > 0
    assert client.st_self["name"] == "m0"
    assert client.version


def users(client: Client) -> None:
    client.create_root(PASSWORD)
    client.enable_auth(PASSWORD)
    client.create_role("r", PASSWORD, {"read": ["/w"], "write": []})
    client.create_user("u", "pw", PASSWORD, roles=["r"])
    assert client.get_user("u", PASSWORD)["user"] == "u"
    client.revoke_user_roles("u", PASSWORD, ["r"])
    client.delete_user("u", PASSWORD)
    client.delete_role("r", PASSWORD)
    client.disable_auth(PASSWORD)


def main() -> None:
    client = Client(host="127.0.0.1", port=int(sys.argv[1]), read_timeout=READ_TIMEOUT_S)
    for it in (keys, watches, members, users):
        it(client)
        print(it.__name__)


main()
