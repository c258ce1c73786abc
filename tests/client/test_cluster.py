"""Streams and commands over a real cluster whose members end or stand still."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from roost.client import Client, ClientError, Leader
from roost.testing.cluster import Cluster
from roost.testing.patience import PATIENCE_S, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.cluster]


@pytest.fixture
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("members"), 3) as started:
        started.leader()
        yield started


class Writer:
    """Puts numbers under `n/`, again and again, by whichever endpoint answers."""

    def __init__(self, endpoints: list[str]) -> None:
        self._over = threading.Event()
        self.count = 0
        self._thread = threading.Thread(target=self._run, args=(endpoints,))
        self._thread.start()

    def _run(self, endpoints: list[str]) -> None:
        with Client(endpoints, timeout_s=1) as client:
            while not self._over.wait(0.002):
                try:
                    client.put(b"n/%d" % (self.count % 7), b"%d" % self.count)
                except ClientError:
                    continue
                self.count += 1

    def wait_more(self, count: int) -> None:
        until = self.count + count
        wait_until(lambda: self.count >= until)

    def end(self) -> None:
        self._over.set()
        self._thread.join()


def collect(endpoints: list[str], seen: list[tuple[int, bytes]]) -> threading.Thread:
    def run() -> None:
        with Client(endpoints) as client:
            for change in client.watch(b"n/", b"n0", since=1):
                seen.append((change.item.mod_revision, change.item.value))
                if change.item.value == b"last":
                    return

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_watch_has_no_gap_and_no_duplicate_while_members_end_and_stand_still(
    three: Cluster,
) -> None:
    seen: list[tuple[int, bytes]] = []
    watching = collect(three.endpoints, seen)
    writer = Writer(list(reversed(three.endpoints)))

    def watcher_goes_on() -> None:
        writer.wait_more(20)
        behind = len(seen)
        # A peer that stands still is known by its pings after 11 s at most.
        wait_until(lambda: len(seen) > behind + 20, timeout_s=45)

    try:
        watcher_goes_on()
        # It begins at the first endpoint, and goes on at the next one each time.
        for position in (0, 1, 2, 0):
            three.process(position).send_signal(signal.SIGSTOP)
            watcher_goes_on()
            three.process(position).send_signal(signal.SIGCONT)
            three.kill(position)
            watcher_goes_on()
            three.start(position)
            three.leader()
    finally:
        writer.end()
    with Client(three.endpoints) as client:
        client.put(b"n/0", b"last")
        watching.join(60)
        # Every put is a revision of its own: what the cluster has is what was seen.
        [last] = client.range(b"n/0")
    revisions = [revision for revision, _ in seen]
    assert revisions == sorted(set(revisions))
    assert revisions[-1] == last.mod_revision
    assert revisions == list(range(revisions[0], revisions[-1] + 1))


def test_leaders_are_observed_while_the_endpoint_ends(three: Cluster) -> None:
    seen: list[Leader] = []

    def observe() -> None:
        with Client(three.endpoints) as client:
            for leader in client.leases.observe(b"boss"):
                seen.append(leader)
                if leader.value == b"4":
                    return

    watching = threading.Thread(target=observe)
    watching.start()
    with Client(list(reversed(three.endpoints))) as client, client.leases.session(60) as session:
        for number in range(5):
            led = client.leases.campaign(b"boss", session.lease_id, b"%d" % number)
            if number == 1:
                wait_until(lambda: len(seen) == 2)
                three.kill(0)
            client.leases.resign(led)
    watching.join(60)
    assert [it.value for it in seen] == [b"0", b"1", b"2", b"3", b"4"]


def roost(endpoints: list[str], *words: str, code: int) -> list[dict[str, object]]:
    done = subprocess.run(
        [sys.executable, "-m", "roost.cli", *words, "--json"], capture_output=True, text=True,
        timeout=PATIENCE_S, env={**os.environ, "ROOST_ENDPOINTS": ",".join(endpoints)}, check=False,
    )  # fmt: skip
    assert done.returncode == code, (done.stdout, done.stderr)
    return [json.loads(it) for it in done.stdout.splitlines()]


def test_commands_over_endpoints_go_on_past_one_that_is_gone(
    three: Cluster, tmp_path: Path
) -> None:
    leader = three.leader()
    gone, other = (it for it in range(3) if it != leader)
    names = [three.endpoints[it] for it in (gone, other, leader)]
    roost(names, "put", "k", "v", code=0)
    three.kill(gone)
    three.leader()
    for words in (("defrag",), ("hashkv",), ("status",), ("health",)):
        rows = roost(names, *words, code=1)
        assert [it["endpoint"] for it in rows] == names, words
        assert ["error" in it for it in rows] == [True, False, False], words
    hashes = {it.get("hash") for it in roost(names, "hashkv", code=1)[1:]}
    assert len(hashes) == 1
    saved = tmp_path / "saved.db"
    roost(names, "snapshot", "save", str(saved), code=0)
    [row] = roost(names, "snapshot", "status", str(saved), code=0)
    assert row["kind"] == "full"
    with Client(names) as client:
        [target] = [it for it in client.members() if it.name == f"m{other}"]
    roost(names, "member", "lead", f"{target.id:x}", code=0)
    assert three.leader() == other
