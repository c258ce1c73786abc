"""From real etcd to Roost, and back: what clients of either are answered is the same."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner, Result

from roost.cli.exits import EXIT_USAGE
from roost.cli.main import main
from roost.client import Change, Client, ClientError, Credentials, Delete, Item, Put
from roost.client.shapes import Permission
from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S, wait_until
from tests.integration.etcdctl import BINARIES, binary, run_etcdctl

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.skipif(not (BINARIES / "etcdutl").exists(), reason="there is no etcdutl here"),
]
LEASE, SHORT = 0x1234567890, 0x77
PATIENT = f"--timeout={PATIENCE_S / 2:.0f}"
ROOT = Credentials(user="root", password="secret-of-root")


def roost(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(it) for it in arguments])


def etcdutl(*arguments: str | Path) -> str:
    done = subprocess.run(
        [binary("etcdutl"), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Content(NamedTuple):
    """All that clients can see."""

    revision: int
    items: list[Item]
    history: list[Change]
    leases: dict[int, tuple[int, tuple[bytes, ...]]]
    users: dict[str, list[str]]
    roles: dict[str, list[Permission]]


def content_of(endpoint: str, since: int, who: Credentials | None = None) -> Content:
    with Client(endpoint, timeout_s=PATIENCE_S / 2, credentials=who) as client:
        pages = list(client.pages(b"\0", b"\0"))
        revision = pages[-1].revision
        history = []
        for change in client.watch(b"\0", b"\0", since=since):
            history.append(change)
            if change.revision == revision:
                break
        leases = {}
        for it in client.leases.all():
            told = client.leases.time_to_live(it, keys=True)
            leases[it] = (told.granted_s, tuple(sorted(told.keys)))
        return Content(
            revision,
            [it for page in pages for it in page.items],
            history,
            leases,
            {it: client.users.roles_of(it) for it in client.users.users()},
            {it: client.users.permissions_of(it) for it in client.users.roles()},
        )


def fill(endpoint: str) -> int:
    """Write one of everything; return from which revision on all is kept."""
    with Client(endpoint, timeout_s=PATIENCE_S / 2) as client:
        client.leases.grant(3000, LEASE)
        client.leases.grant(2000, SHORT)
        for it in range(200):
            client.put(b"k%03d" % it, b"v%d" % it * it)
        client.put(b"binary \0\xff", b"\0" * 300)
        client.put("with lease", "1", lease=LEASE)
        client.txn(then=[Put("a", "1"), Put("b", "2", lease=SHORT), Delete("k000")])
        client.delete("k010", "k050")
        client.put("large", bytes(1_000_000))
        kept = client.ask_range(b"a").header.revision
        client.compact(kept)
        for it in range(60, 90):
            client.put(b"k%03d" % it, b"again")
        client.delete("k060")
        client.put("k060", "anew")
        users = client.users
        users.add_role("reader")
        users.grant_permission("reader", Permission("read", b"k", b"l"))
        users.add_user("root", "secret-of-root")
        users.grant_role("root", "root")
        users.add_user("ada", "secret-of-ada")
        users.grant_role("ada", "reader")
        # The last of all: a watch knows by it that it has seen everything.
        client.put("end", "")
        users.enable()
    return kept + 1


@contextmanager
def etcd(root: Path) -> Iterator[Cluster]:
    root.mkdir(exist_ok=True)
    with Cluster(root, 1, command=[binary("etcd")]) as cluster:
        cluster.leader()
        yield cluster


def members_of(cluster: Cluster, position: int) -> list[str]:
    flags = cluster.flags(position)
    names = ("--name=", "--data-dir=", "--initial-cluster=", "--initial-advertise-peer-urls=")
    return [it for it in flags if it.startswith(names)]


def import_into(cluster: Cluster, source: Path, *options: str) -> None:
    for position in range(cluster.size):
        said = roost("import", source, *members_of(cluster, position), *options)
        assert said.exit_code == 0, said.output


def put_later(endpoint: str) -> int:
    with Client(endpoint, timeout_s=PATIENCE_S / 2, credentials=ROOT) as client:
        client.put("later", "1")
        item = client.get("later")
        assert item is not None
        return item.mod_revision


def wait_served(cluster: Cluster) -> None:
    """Until all members answer who asks as root: a status says nothing to nobody."""

    def is_served(endpoint: str) -> bool:
        try:
            with Client(endpoint, timeout_s=PATIENCE_S / 2, credentials=ROOT) as client:
                client.get("end")
        except ClientError:
            return False
        return True

    wait_until(lambda: all(is_served(it) for it in cluster.endpoints))


def check_rights(endpoint: str) -> None:
    """Passwords and rights are those that were."""
    ada = Credentials(user="ada", password="secret-of-ada")
    with Client(endpoint, timeout_s=PATIENCE_S / 2, credentials=ada) as client:
        assert client.get("k001") is not None
        with pytest.raises(Exception, match="permission denied"):
            client.put("k001", "x")


def test_a_snapshot_of_etcds_becomes_a_cluster_that_answers_the_same(tmp_path: Path) -> None:
    file = tmp_path / "etcd.db"
    with etcd(tmp_path / "etcd") as old:
        since = fill(old.endpoints[0])
        before = content_of(old.endpoints[0], since, ROOT)
        user = f"--user={ROOT.user}:{ROOT.password}"
        patient = f"--dial-timeout={PATIENCE_S / 2:.0f}s"
        said = run_etcdctl(old.endpoints[0], user, patient, "snapshot", "save", str(file))
        assert said.code == 0, said.error
    assert roost("snapshot", "status", file).output.count("a snapshot of etcd's") == 1
    root = tmp_path / "roost"
    root.mkdir()
    cluster = Cluster(root, 3)
    import_into(cluster, file)
    with cluster:
        wait_served(cluster)
        for endpoint in cluster.endpoints:
            assert content_of(endpoint, since, ROOT) == before
        check_rights(cluster.endpoints[1])
        assert put_later(cluster.endpoints[2]) == before.revision + 1


def test_the_directory_of_an_etcd_that_was_stopped_is_imported(tmp_path: Path) -> None:
    with etcd(tmp_path / "etcd") as old:
        since = fill(old.endpoints[0])
        before = content_of(old.endpoints[0], since, ROOT)
        directory = tmp_path / "etcd" / "m0"
        busy = roost("import", directory, f"--data-dir={tmp_path / 'busy'}")
        assert (busy.exit_code, "is in use" in busy.output) == (EXIT_USAGE, True)
        old.stop(0)
        root = tmp_path / "roost"
        root.mkdir()
        cluster = Cluster(root, 1)
        import_into(cluster, directory)
        with cluster:
            wait_served(cluster)
            assert content_of(cluster.endpoints[0], since, ROOT) == before


def give(kind: str, cluster: Cluster, file: Path) -> None:
    """Have Roost's data as a snapshot of etcd's, in one of the ways that there are."""
    user = f"--user={ROOT.user}:{ROOT.password}"
    at = f"--endpoints={cluster.endpoints[0]}"
    if kind == "save":
        said = roost("snapshot", "save", file, "--format=etcd", at, user, PATIENT)
        assert said.exit_code == 0, said.output
        return
    own, more = file.with_suffix(".full"), file.with_suffix(".inc")
    assert roost("snapshot", "save", own, at, user, PATIENT).exit_code == 0
    assert roost("snapshot", "save", more, "--since", own, at, user, PATIENT).exit_code == 0
    said = roost("snapshot", "convert", own, more, "--output", file)
    assert said.exit_code == 0, said.output


@pytest.mark.parametrize("kind", ["save", "convert"])
def test_a_real_etcd_starts_from_what_roost_has(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "roost.db"
    root = tmp_path / "roost"
    root.mkdir()
    with Cluster(root, 1) as old:
        old.leader()
        since = fill(old.endpoints[0])
        before = content_of(old.endpoints[0], since, ROOT)
        give(kind, old, file)
    assert f" {before.revision}, " in etcdutl("snapshot", "status", file)
    (tmp_path / "etcd").mkdir()
    new = Cluster(tmp_path / "etcd", 1, command=[binary("etcd")])
    etcdutl("snapshot", "restore", file, *members_of(new, 0))
    with new:
        wait_served(new)
        endpoint = new.endpoints[0]
        assert content_of(endpoint, since, ROOT) == before
        check_rights(endpoint)
        assert put_later(endpoint) == before.revision + 1
        with Client(endpoint, timeout_s=PATIENCE_S / 2, credentials=ROOT) as client:
            client.leases.revoke(LEASE)
            assert client.get("with lease") is None
        new.stop(0)
    # etcd has opened, changed and closed the file that we wrote; and back again it goes.
    again = tmp_path / "again"
    again.mkdir()
    third = Cluster(again, 1)
    import_into(third, tmp_path / "etcd" / "m0")
    with third:
        wait_served(third)
        assert content_of(third.endpoints[0], since, ROOT).revision == before.revision + 2
