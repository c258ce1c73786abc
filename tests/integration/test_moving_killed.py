"""The directory of an etcd that was killed becomes what that etcd would have come up with."""

import json
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from roost.client import Client, ClientError, Delete, Key, Permission, Put
from roost.moving import open_etcd
from roost.moving.wal import LogFiles
from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S, wait_until
from tests.integration.etcdctl import BINARIES, binary
from tests.integration.test_moving import (
    LEASE,
    ROOT,
    check_rights,
    content_of,
    fill,
    import_into,
    put_later,
    roost,
    wait_served,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.skipif(not (BINARIES / "etcdutl").exists(), reason="there is no etcdutl here"),
]
FORM, ROOT_V2 = "application/x-www-form-urlencoded", ("root", "secret-of-root")
# Nothing comes to etcd's store by itself: all that is written lies in its log when it is killed.
NEVER = ("--backend-batch-interval=1h", "--backend-batch-limit=1000000000")


@contextmanager
def etcd(root: Path, *flags: str) -> Iterator[Cluster]:
    root.mkdir()
    with Cluster(root, 1, command=[binary("etcd"), *flags]) as cluster:
        cluster.leader()
        yield cluster


@contextmanager
def imported(root: Path, source: Path) -> Iterator[Cluster]:
    root.mkdir()
    cluster = Cluster(root, 1, extra_flags=["--enable-v2"])
    import_into(cluster, source)
    with cluster:
        yield cluster


def go_on(endpoint: str) -> None:
    """Write behind what turned authentication on, with which etcd writes its store to the disk."""
    with Client(endpoint, timeout_s=PATIENCE_S / 2, credentials=ROOT) as client:
        client.leases.grant(500, 0x55)
        client.leases.grant(600, 0x66)
        for it in range(120, 150):
            client.put(b"k%03d" % it, b"behind")
        client.put("goes", "1", lease=0x55)
        client.put("goes too", "1", lease=0x55)
        client.put("stays", "1", lease=0x66)
        client.leases.revoke(0x55)
        client.delete("k100", "k110")
        client.txn(then=[Put("a", "3"), Delete("b"), Put("c", "4", lease=LEASE)])
        client.txn(when=[Key("a").value == "9"], then=[Put("a", "5")], otherwise=[Put("d", "6")])
        client.users.add_role("writer")
        client.users.grant_permission("writer", Permission("write", b"w", b"x"))
        client.users.add_user("bob", "secret-of-bob")
        client.users.grant_role("bob", "writer")
        client.users.revoke_role("bob", "writer")
        client.users.grant_role("bob", "reader")
        client.users.change_password("ada", "secret-of-ada")
        client.put("end", "again")


def test_what_was_in_the_log_only_is_all_there(tmp_path: Path) -> None:
    directory = tmp_path / "etcd" / "m0"
    with etcd(tmp_path / "etcd", *NEVER) as old:
        since = fill(old.endpoints[0])
        go_on(old.endpoints[0])
        before = content_of(old.endpoints[0], since, ROOT)
        old.kill(0)
        with open_etcd(directory) as held:
            behind = list(
                LogFiles(directory / "member" / "wal").entries(held.backend.consistent_index)
            )
        assert len(behind) > 15  # 3.5.30 leaves 19 of some fifty, 3.5.1 nearly all
        said = roost("import", directory, f"--data-dir={tmp_path / 'said'}")
        assert " requests were in the log only, and are carried out" in said.output
        with imported(tmp_path / "roost", directory) as cluster:
            wait_served(cluster)
            assert content_of(cluster.endpoints[0], since, ROOT) == before
            check_rights(cluster.endpoints[0])
            assert put_later(cluster.endpoints[0]) == before.revision + 1


def test_what_etcd_refused_stays_refused(tmp_path: Path) -> None:
    """The log has what was asked for; etcd says no when it applies it, and so does an import."""
    directory = tmp_path / "etcd" / "m0"
    with etcd(tmp_path / "etcd", *NEVER) as old:
        since = fill(old.endpoints[0])
        go_on(old.endpoints[0])
        check_rights(old.endpoints[0])
        with Client(old.endpoints[0], timeout_s=PATIENCE_S / 2, credentials=ROOT) as client:
            for wrong in (
                lambda: client.put("k002", "x", lease=99),
                lambda: client.compact(2),
                lambda: client.users.add_user("ada", "other"),
                lambda: client.users.grant_role("ada", "nobody's"),
                lambda: client.leases.revoke(99),
                lambda: client.leases.grant(100, LEASE),
            ):
                with pytest.raises(ClientError):
                    wrong()
            client.leases.revoke(LEASE)
        put_later(old.endpoints[0])
        before = content_of(old.endpoints[0], since, ROOT)
        old.kill(0)
        with imported(tmp_path / "roost", directory) as cluster:
            wait_served(cluster)
            assert content_of(cluster.endpoints[0], since, ROOT) == before
            check_rights(cluster.endpoints[0])


def v2(endpoint: str, method: str, path: str, **form: str) -> tuple[int, dict[str, object], int]:
    """What v2 answers: status, JSON, index."""
    data = urllib.parse.urlencode(form).encode() if method in ("PUT", "POST") else None
    query = "" if data is not None or not form else "?" + urllib.parse.urlencode(form)
    url = f"http://{endpoint}/v2/keys{path}{query}"
    asked = urllib.request.Request(url, data=data, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE_S / 2) as answer:
            return answer.status, json.load(answer), int(answer.headers["X-Etcd-Index"])
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused), int(refused.headers["X-Etcd-Index"])


def fill_v2(endpoint: str) -> None:
    """Have one of everything: some lies behind the last snapshot, and most before."""
    for it in range(40):
        v2(endpoint, "PUT", f"/dir/{it % 7}/k{it}", value=f"v{it}")
    v2(endpoint, "PUT", "/timed", value="1", ttl="3000")
    v2(endpoint, "PUT", "/timed-dir", dir="true", ttl="4000")
    v2(endpoint, "PUT", "/empty", dir="true")
    v2(endpoint, "PUT", "/gone", value="1", ttl="1")
    v2(endpoint, "PUT", "/_hidden", value='\u00fc \n"')
    v2(endpoint, "POST", "/queue", value="first")
    v2(endpoint, "POST", "/queue", value="second")
    v2(endpoint, "PUT", "/dir/1/k1", value="swapped", prevValue="v1")
    assert v2(endpoint, "PUT", "/dir/1/k1", value="no", prevValue="v1")[0] == 412
    assert v2(endpoint, "PUT", "/dir/1/k1", value="no", prevExist="false")[0] == 412
    assert v2(endpoint, "PUT", "/dir/1/k1/below", value="no")[0] == 400
    v2(endpoint, "PUT", "/dir/1/k8", value="updated", prevExist="true")
    v2(endpoint, "PUT", "/timed", refresh="true", ttl="3500", prevExist="true")
    v2(endpoint, "DELETE", "/dir/2", recursive="true")
    assert v2(endpoint, "DELETE", "/dir/3")[0] == 403
    v2(endpoint, "DELETE", "/dir/3/k3", prevValue="v3")
    wait_until(lambda: v2(endpoint, "GET", "/gone")[0] == 404)


def without_ttl(node: object) -> object:
    """A node with when it ends, and without how long that is from now."""
    match node:
        case dict():
            return {key: without_ttl(it) for key, it in node.items() if key != "ttl"}
        case list():
            return [without_ttl(it) for it in node]
    return node


def tree_of(endpoint: str) -> tuple[object, object, int]:
    """All keys of v2, what is hidden, and the index."""
    _, tree, index = v2(endpoint, "GET", "/", recursive="true", sorted="true")
    _, hidden, _ = v2(endpoint, "GET", "/_hidden")
    return without_ttl(tree), without_ttl(hidden), index


@pytest.mark.parametrize("snapshot_count", [20, 100_000])
def test_keys_of_v2_come_with_their_indexes_and_dates(tmp_path: Path, snapshot_count: int) -> None:
    directory = tmp_path / "etcd" / "m0"
    flags = ("--enable-v2", f"--snapshot-count={snapshot_count}")
    with etcd(tmp_path / "etcd", *flags) as old:
        endpoint = old.endpoints[0]
        fill_v2(endpoint)
        with Client(endpoint, timeout_s=PATIENCE_S / 2) as client:
            client.put("of v3", "1")
        before = tree_of(endpoint)
        old.kill(0)
        snapshots = list((directory / "member" / "snap").glob("*.snap"))
        assert bool(snapshots) == (snapshot_count == 20)
        with imported(tmp_path / "roost", directory) as cluster:
            cluster.leader()
            endpoint = cluster.endpoints[0]
            assert tree_of(endpoint) == before
            with Client(endpoint, timeout_s=PATIENCE_S / 2) as client:
                held = client.get("of v3")
            assert held is not None
            assert held.value == b"1"
            status, _, index = v2(endpoint, "PUT", "/later", value="1")
            assert (status, index) == (201, before[2] + 1)
            cleared = v2(endpoint, "GET", "/", wait="true", recursive="true", waitIndex="1")
            assert (cleared[0], cleared[1]["errorCode"]) == (400, 401)


def as_user(who: str, password: str, endpoint: str, method: str, path: str, body: str = "") -> int:
    """The status of what somebody asks of v2; of nobody where the name is empty."""
    headers = {"Content-Type": "application/json" if path.startswith("auth") else FORM}
    if who:
        headers["Authorization"] = f"Basic {b64encode(f'{who}:{password}'.encode()).decode()}"
    asked = urllib.request.Request(
        f"http://{endpoint}/v2/{path}", body.encode() or None, headers, method=method
    )
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE_S / 2) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code


def fill_v2_users(endpoint: str) -> None:
    """Users, roles, and the question who somebody is."""
    read_a = '{"kv": {"read": ["/a/*"], "write": []}}'
    all_of_it = '{"kv": {"read": ["/*"], "write": ["/*"]}}'
    for path, body in (
        ("auth/users/root", '{"user": "root", "password": "secret-of-root"}'),
        ("auth/roles/reader", f'{{"role": "reader", "permissions": {read_a}}}'),
        ("auth/users/ada", '{"user": "ada", "password": "p1", "roles": ["reader"]}'),
        ("auth/users/bob", '{"user": "bob", "password": "p2"}'),
        ("keys/a/x", "value=1"),
        ("keys/b", "value=1"),
        ("auth/users/ada", '{"user": "ada", "password": "secret-of-ada"}'),
        ("auth/enable", ""),
        ("auth/roles/guest", f'{{"role": "guest", "revoke": {all_of_it}}}'),
        ("keys/b", "value=2"),
    ):  # fmt: skip
        said = as_user(*ROOT_V2, endpoint, "PUT", path, body)
        assert said in (200, 201), (path, said)


def rights_of(endpoint: str) -> dict[tuple[str, str, str, str], int]:
    """What everybody is answered, with passwords that are right, old and wrong."""
    whos = [
        ("", ""), ("root", "secret-of-root"), ("root", "wrong"), ("ada", "secret-of-ada"),
        ("ada", "p1"), ("bob", "p2"), ("nobody", "x"),
    ]  # fmt: skip
    asks = [
        ("GET", "keys/a/x"), ("GET", "keys/b"), ("PUT", "keys/a/x"), ("PUT", "keys/b"),
        ("GET", "auth/users"), ("GET", "auth/users/ada"), ("GET", "auth/roles/reader"),
    ]  # fmt: skip
    return {
        (who, password, method, path): as_user(
            who, password, endpoint, method, path, "value=2" if method == "PUT" else ""
        )
        for who, password in whos
        for method, path in asks
    }


def test_users_of_v2_may_what_they_might(tmp_path: Path) -> None:
    """Who logs in by which password, and what is refused, is what the real etcd says."""
    directory = tmp_path / "etcd" / "m0"
    with etcd(tmp_path / "etcd", "--enable-v2") as old:
        fill_v2_users(old.endpoints[0])
        before = rights_of(old.endpoints[0])
        old.kill(0)
        assert {200, 401, 403} >= set(before.values()) >= {200, 401}
        with imported(tmp_path / "roost", directory) as cluster:
            cluster.leader()
            assert rights_of(cluster.endpoints[0]) == before
            # They are users like others from here on.
            change = '{"user": "bob", "grant": ["reader"]}'
            assert as_user(*ROOT_V2, cluster.endpoints[0], "PUT", "auth/users/bob", change) == 200
            assert as_user("bob", "p2", cluster.endpoints[0], "GET", "keys/a/x") == 200
