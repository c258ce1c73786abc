"""`roost migrate`: the target becomes what a real etcd is, with its revisions where it can be."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result

from roost.cli.exits import EXIT_REFUSED, EXIT_USAGE
from roost.cli.main import main
from roost.cli.migrate.leases import Leases
from roost.cli.migrate.state import State, read_state, write_state
from roost.client import Client, Delete, Item, Put, RequestRefused, TimeToLive
from roost.testing.cluster import Cluster
from roost.testing.etcd import etcd_command, etcd_reason
from roost.testing.patience import PATIENCE_S, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
needs_etcd = pytest.mark.skipif(bool(etcd_reason()), reason=etcd_reason() or "it is here")


@contextmanager
def ends(root: Path, *, is_etcd: bool = True) -> Iterator[tuple[Cluster, Cluster]]:
    """A real etcd, or a Roost, and a Roost that is not started yet."""
    (root / "source").mkdir()
    (root / "target").mkdir()
    source = Cluster(root / "source", 1, command=etcd_command() if is_etcd else ())
    target = Cluster(root / "target", 1)
    with source:
        source.leader()
        try:
            yield source, target
        finally:
            target.stop_all()


def roost(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(it) for it in arguments])


def migrate(source: Cluster, target: Cluster, *options: str | Path) -> Result:
    at = ("--endpoints", target.endpoints[0], f"--timeout={PATIENCE_S / 2:.0f}")
    return roost("migrate", source.endpoints[0], *at, *options)


def rows(said: Result) -> list[dict[str, Any]]:
    assert said.exit_code == 0, said.output
    return [json.loads(it) for it in said.stdout.splitlines()]


def held(cluster: Cluster) -> list[Item]:
    with Client(cluster.endpoints, timeout_s=PATIENCE_S / 2) as client:
        return client.range(b"\0", b"\0")


def fill(cluster: Cluster) -> None:
    with Client(cluster.endpoints, timeout_s=PATIENCE_S / 2) as client:
        client.leases.grant(3000, 0x77)
        for it in range(300):
            client.put(b"k%03d" % it, b"v%d" % it)
        client.put("leased", "1", lease=0x77)
        client.put("large", bytes(1_200_000))


def change(cluster: Cluster) -> None:
    """One of everything that a watch can tell."""
    with Client(cluster.endpoints, timeout_s=PATIENCE_S / 2) as client:
        client.put("k000", "again")
        client.txn(then=[Put("a", "1"), Delete("k001"), Put("b", "2", lease=0x77)])
        if 0x99 not in client.leases.all():
            client.leases.grant(2000, 0x99)
        client.put("later", "1", lease=0x99)
        client.delete("k100", "k250")
        client.put("large", bytes(1_100_000))
        client.txn(then=[Put(b"many%d" % it, b"x") for it in range(128)])


@contextmanager
def following(source: Cluster, target: Cluster, log: Path, *words: str) -> Iterator[None]:
    """`roost migrate` in the background."""
    command = [sys.executable, "-m", "roost.cli", "migrate", source.endpoints[0], *words]
    with log.open("ab") as out:
        process = subprocess.Popen(
            [*command, "--endpoints", target.endpoints[0], f"--timeout={PATIENCE_S / 2:.0f}"],
            stdout=out, stderr=subprocess.STDOUT, env=dict(os.environ),
        )  # fmt: skip
    try:
        yield
        assert process.poll() is None, log.read_text()
    finally:
        process.kill()
        process.wait()


@needs_etcd
def test_a_cluster_that_was_imported_follows_revision_by_revision(tmp_path: Path) -> None:
    file, state, log = (tmp_path / name for name in ("etcd.db", "state.json", "log"))
    with ends(tmp_path) as (source, target):
        fill(source)
        with Client(source.endpoints, timeout_s=PATIENCE_S / 2) as client, file.open("wb") as out:
            out.writelines(client.snapshot())
        made = [it for it in target.flags(0) if it.startswith(("--name=", "--data-dir=",
                "--initial-cluster=", "--initial-advertise-peer-urls="))]  # fmt: skip
        assert roost("import", file, *made).exit_code == 0
        change(source)
        target.start(0)
        target.leader()
        once = rows(migrate(source, target, "--keep-revisions", "--once", "--json"))
        assert [it.get("way") for it in once] == ["revisions", None]
        assert once[-1]["caught_up"]
        assert once[-1]["source_revision"] == once[-1]["target_revision"]
        assert held(source) == held(target)
        # It goes on where it was: by what the target has, or by what it wrote down.
        with following(source, target, log, "--keep-revisions", "--state", str(state)):
            with Client(source.endpoints, timeout_s=PATIENCE_S / 2) as client:
                for it in range(100):
                    client.put("busy", str(it))
            wait_until(lambda: held(source) == held(target))
            kept = read_state(state)
            assert kept is not None and kept.keeps_revisions
        change(source)
        again = rows(
            migrate(source, target, "--keep-revisions", "--state", state, "--once", "--json")
        )
        assert again[0]["way"] in ("resumed", "revisions")
        more = rows(migrate(source, target, "--state", state, "--once", "--json"))
        assert more[0]["way"] == "resumed"
        assert held(source) == held(target)
        with Client(target.endpoints, timeout_s=PATIENCE_S / 2) as client:
            assert client.leases.time_to_live(0x99, keys=True).keys == (b"later",)
            client.put("somebody else", "writes")
        change(source)
        lost = migrate(source, target, "--keep-revisions", "--state", state, "--once")
        assert lost.exit_code == EXIT_REFUSED
        assert "revisions cannot stay what they are" in lost.output


@needs_etcd
def test_any_other_cluster_is_made_alike_and_its_own_keys_are_not_lost_unasked(
    tmp_path: Path,
) -> None:
    with ends(tmp_path) as (source, target):
        fill(source)
        target.start(0)
        target.leader()
        with Client(target.endpoints, timeout_s=PATIENCE_S / 2) as client:
            client.put("ours", "1")
            client.put("k005", "old")
        refused = migrate(source, target, "--keep-revisions", "--once")
        assert (refused.exit_code, "roost import" in refused.output) == (EXIT_REFUSED, True)
        refused = migrate(source, target, "--once")
        assert (refused.exit_code, "as ours: " in refused.output) == (EXIT_USAGE, True)
        state = tmp_path / "state.json"
        options = ("--state", state, "--once", "--json")
        done = rows(migrate(source, target, "--delete-others", *options))
        assert done[0]["way"] == "alike"
        assert done[-1]["keys"] == 302
        alike(source, target)
        # What the source has deleted meanwhile is known to be ours by the state.
        with following(source, target, tmp_path / "log", "--state", str(state)):
            change(source)
            with Client(source.endpoints, timeout_s=PATIENCE_S / 2) as client:
                client.leases.revoke(0x77)
            wait_until(lambda: values(source) == values(target))
        alike(source, target)


def values(cluster: Cluster) -> list[tuple[bytes, bytes, int]]:
    return [(it.key, it.value, it.lease) for it in held(cluster)]


def alike(source: Cluster, target: Cluster) -> None:
    assert values(source) == values(target)


def test_what_the_source_forgot_meanwhile_is_found_by_comparing(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    with ends(tmp_path, is_etcd=False) as (source, target):
        target.start(0)
        target.leader()
        fill(source)
        assert migrate(source, target, "--once", "--state", state).exit_code == 0
        change(source)
        with Client(source.endpoints, timeout_s=PATIENCE_S / 2) as client:
            client.compact(client.ask_range(b"a").header.revision)
        said = migrate(source, target, "--once", "--state", state)
        assert said.exit_code == 0, said.output
        assert "the source has forgotten where we were" in said.output
        alike(source, target)


def test_a_cluster_is_not_moved_into_itself(tmp_path: Path) -> None:
    with Cluster(tmp_path, 1) as cluster:
        cluster.leader()
        said = migrate(cluster, cluster, "--once")
    assert (said.exit_code, "one cluster" in said.output) == (EXIT_USAGE, True)


def test_a_state_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    assert read_state(path) is None
    state = State(source_cluster=1, target_cluster=2, source_revision=3, target_revision=4,
                  keeps_revisions=True)  # fmt: skip
    write_state(path, state)
    assert read_state(path) == state
    assert [it.name for it in tmp_path.iterdir()] == ["state.json"]
    path.write_text("{}")
    with pytest.raises(ValueError, match="source_cluster"):
        read_state(path)


class FakeLeases:
    """Leases of one end: what is left and what was granted, by id; and what was asked."""

    def __init__(self, held: dict[int, int]) -> None:
        self.held = held
        self.renewed: list[int] = []
        self.leases = self

    def all(self) -> list[int]:
        return list(self.held)

    def time_to_live(self, lease_id: int) -> TimeToLive:
        left = self.held.get(lease_id, -1)
        return TimeToLive(left, max(0, left), ())

    def grant(self, ttl_s: int, lease_id: int) -> None:
        if lease_id in self.held:
            raise RequestRefused("FAILED_PRECONDITION", "lease already exists")
        self.held[lease_id] = ttl_s

    def renew(self, lease_id: int) -> int:
        self.renewed.append(lease_id)
        return self.held.get(lease_id, 0)


def test_leases_are_kept_alive_at_the_target_while_the_source_has_them() -> None:
    source, target = FakeLeases({1: 30, 2: 60}), FakeLeases({2: 60})
    now_s = 100.0
    leases = Leases(cast("Client", source), cast("Client", target), lambda: now_s)
    leases.keep()
    # One was there from an import: it is renewed, and not granted anew.
    assert (target.held, target.renewed, leases.count) == ({1: 30, 2: 60}, [2], 2)
    assert [leases.wanted(it) for it in (0, 1, 2, 3)] == [0, 1, 2, 0]
    now_s += 11
    leases.keep()
    assert target.renewed == [2, 1]
    now_s += 10
    leases.keep()
    assert target.renewed == [2, 1, 1, 2]
    # It ended at the target, and lives at the source: it is granted again.
    del target.held[1]
    now_s += 11
    leases.keep()
    assert target.held == {1: 30, 2: 60}
    # It ended at the source, and is left to end at the target.
    del source.held[2]
    source.held[4] = 90
    now_s += 40
    target.renewed.clear()
    leases.keep()
    assert (target.renewed, sorted(target.held), leases.count) == ([1], [1, 2, 4], 2)
