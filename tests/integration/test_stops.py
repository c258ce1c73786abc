"""A member is stopped at moments of its chores, by a signal to its whole process group, as a
terminal, a shell and systemd send it: nothing is left after five seconds, and nothing is wrong."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import msgspec
import pytest

from roost.client import Client, ClientError
from roost.journal import OsDisk, Twin
from roost.member.directory.store_record import StoreRecord
from roost.testing.cluster import ROOST, Cluster
from roost.testing.devices import strace_reason, under_strace
from roost.testing.patience import PATIENCE_S, wait_until
from roost.testing.processes import children_of, processes_about

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
# A stop takes seconds; what waits for a device that does not answer takes for ever.
STOP_S = 30.0
Moment = Callable[[Cluster], bool]


def has_child(module: str) -> Moment:
    """A process of the member's runs that module."""
    return lambda cluster: any(module in it for it in processes_about(str(cluster.root)).values())


def has_file(pattern: str) -> Moment:
    """There is such a file below the members' directories."""
    return lambda cluster: any(cluster.root.glob(pattern))


@contextmanager
def members(root: Path, size: int, *flags: str) -> Iterator[Cluster]:
    cluster = Cluster(root, size, extra_flags=flags, has_own_groups=True)
    try:
        yield cluster
    finally:
        cluster.stop_all()


def stop_at(cluster: Cluster, position: int, number: int, moment: Moment) -> int:
    """Signal the group at that moment; say how the member ended, and leave nothing of it."""
    process = cluster.process(position)
    wait_until(lambda: moment(cluster) or process.poll() is not None)
    assert process.poll() is None, cluster.log_end(position)
    began = time.monotonic()
    os.killpg(process.pid, number)
    code = process.wait(timeout=PATIENCE_S)
    mine = str(cluster.root / f"m{position}")
    wait_until(lambda: not processes_about(mine))
    took_s = time.monotonic() - began
    assert took_s < STOP_S, f"{took_s:.1f} s\n{cluster.log_end(position)}"
    assert "Traceback" not in cluster.log_end(position), cluster.log_end(position)
    return code


def before_it_serves(number: int) -> tuple[int, ...]:
    """How a member that is only starting may end: there is nothing to be put in order yet."""
    return 0, 1, 128 + number, -number


def fill(cluster: Cluster, size_mb: int) -> None:
    with Client(cluster.endpoints[:1], timeout_s=20) as client:
        for number in range(size_mb):
            client.put(b"k%04d" % number, os.urandom(1 << 20))


BACKUP_MOMENTS = {
    "waiting": has_file("kept"),
    "copying": has_child("roost.store.snapshot"),
    "the copy is there": has_file("m0/snapshots/*.mdb"),
    "writing": has_child("roost.member.snapshots.shelf_work"),
    "half a file": has_file("kept/*.part"),
    "one is done": has_file("kept/m0-0*.db"),
}


@pytest.mark.parametrize("moment", BACKUP_MOMENTS)
def test_a_stop_during_a_backup(tmp_path: Path, moment: str) -> None:
    """By one signal or the other, by turns: a member takes both for the same."""
    number = (signal.SIGTERM, signal.SIGINT)[list(BACKUP_MOMENTS).index(moment) % 2]
    flags = (f"--backup-dir={tmp_path / 'kept'}", "--backup-interval=50ms")
    with members(tmp_path, 1, *flags) as cluster:
        cluster.start(0)
        assert stop_at(cluster, 0, number, BACKUP_MOMENTS[moment]) == 0


@pytest.mark.parametrize("first", range(0, 8, 2))
def test_a_stop_at_many_moments_of_backups_and_scrubs(tmp_path: Path, first: int) -> None:
    """Wherever the two are when so many lines of the log are written; in parts that run apart.

    A line is the end of a process that gives way to everybody: on a busy machine it takes seconds.
    """
    flags = (
        f"--backup-dir={tmp_path / 'kept'}",
        "--backup-interval=10ms",
        "--scrub-interval=100ms",
        "--log-level=debug",
    )
    with members(tmp_path, 1, *flags) as cluster:
        for count in (first, first + 1):
            cluster.log_path(0).unlink(missing_ok=True)
            cluster.start(0)

            def has_said(it: Cluster, wanted: int = count) -> bool:
                said = it.log_path(0).read_bytes()
                return b"serves" in said and said.count(b"\n") > 6 + wanted

            number = (signal.SIGTERM, signal.SIGINT)[count % 2]
            assert stop_at(cluster, 0, number, has_said) == 0


def test_a_stop_during_a_scrub(tmp_path: Path) -> None:
    with members(tmp_path, 1, "--scrub-interval=100ms") as cluster:
        cluster.start(0)
        assert stop_at(cluster, 0, signal.SIGTERM, has_child("roost.store.scrub")) == 0


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("moment", ["copying", "fetching"])
def test_a_stop_while_a_newcomer_fetches_the_store(
    tmp_path: Path, moment: str, position: int
) -> None:
    moments = {
        "copying": has_child("roost.store.snapshot"),
        "fetching": has_file("m1/snapshots/incoming.mdb"),
    }
    with members(tmp_path, 1) as cluster:
        cluster.start(0)
        cluster.leader()
        fill(cluster, 64)
        cluster.grow()
        with Client(cluster.endpoints[:1], timeout_s=20) as client:
            client.add_member([cluster.peer_url(1)])
        cluster.start(1)
        code = stop_at(cluster, position, signal.SIGTERM, moments[moment])
        assert code in ((0,) if position == 0 else before_it_serves(signal.SIGTERM))


def test_a_stop_during_a_defragmentation(tmp_path: Path) -> None:
    with members(tmp_path, 1) as cluster:
        cluster.start(0)
        cluster.leader()
        fill(cluster, 96)

        def defragment() -> None:
            with suppress(ClientError), Client(cluster.endpoints, timeout_s=20) as client:
                client.defragment()

        asking = threading.Thread(target=defragment)
        asking.start()
        assert stop_at(cluster, 0, signal.SIGTERM, has_file("m0/db.2/data.mdb")) == 0
        asking.join()
        cluster.start(0)
        cluster.leader()
        with Client(cluster.endpoints, timeout_s=20) as client:
            assert len(client.range(b"k", b"l", keys_only=True)) == 96


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_a_stop_while_a_damaged_store_waits_for_a_peer(tmp_path: Path, number: int) -> None:
    with members(tmp_path, 2) as cluster:
        for position in range(2):
            cluster.start(position)
        cluster.leader()
        assert cluster.stop(0) == 0
        cluster.kill(1)
        twin = Twin(OsDisk(), tmp_path / "m0", "store")
        twin.save(msgspec.json.encode(StoreRecord(damage="by this test")))
        twin.close()
        cluster.start(0)

        def waits(it: Cluster) -> bool:
            return "joining by" in it.log_end(0)

        assert stop_at(cluster, 0, number, waits) in before_it_serves(number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_a_stop_while_nobody_lets_a_newcomer_in(tmp_path: Path, number: int) -> None:
    with members(tmp_path, 1) as cluster:
        cluster.grow()
        cluster.start(1)

        def waits(it: Cluster) -> bool:
            return bool(it.log_end(1))

        assert stop_at(cluster, 1, number, waits) in before_it_serves(number)


def test_a_stop_while_the_keeper_does_not_answer(tmp_path: Path) -> None:
    """What is not in the store yet is in the journal."""
    with members(tmp_path, 1) as cluster:
        cluster.start(0)
        cluster.leader()
        fill(cluster, 8)
        for pid, line in processes_about(str(cluster.root)).items():
            if "-m roost.store " in line:
                os.kill(pid, signal.SIGSTOP)
        assert stop_at(cluster, 0, signal.SIGTERM, lambda _: True) == 0
        cluster.start(0)
        cluster.leader()
        with Client(cluster.endpoints, timeout_s=20) as client:
            assert client.count(b"k", b"l") == 8


@pytest.mark.skipif(bool(strace_reason()), reason=strace_reason())
@pytest.mark.parametrize("delay_ms", [30, 100, 300])
def test_a_stop_while_the_disk_is_slow(tmp_path: Path, delay_ms: int) -> None:
    """It ended with an assertion: the last answer of the journal's thread came after its close."""
    slow = under_strace(tmp_path / "strace.log", f"fdatasync:delay_enter={delay_ms * 1000}")
    cluster = Cluster(tmp_path, 1, command=[*slow, *ROOST])
    try:
        process = cluster.start(0)
        cluster.leader(timeout_s=60)
        (member,) = children_of(process.pid)
        with load(cluster.endpoints) as acknowledged:
            wait_until(lambda: len(acknowledged) > 60, timeout_s=60)  # three of each client
            os.kill(member, signal.SIGTERM)
            assert process.wait(timeout=PATIENCE_S) == 0, cluster.log_end(0)
    finally:
        cluster.stop_all()


@contextmanager
def load(endpoints: list[str], clients: int = 20) -> Iterator[list[int]]:
    """Puts by many clients; yields the list of those that were acknowledged."""
    acknowledged: list[int] = []
    is_over = threading.Event()

    def put() -> None:
        with Client(endpoints, timeout_s=20) as client:
            while not is_over.is_set():
                try:
                    client.put(b"load", b"x" * 100)
                except ClientError:
                    return
                acknowledged.append(1)

    threads = [threading.Thread(target=put) for _ in range(clients)]
    for it in threads:
        it.start()
    try:
        yield acknowledged
    finally:
        is_over.set()
        for it in threads:
            it.join()


@contextmanager
def silent_name_server(root: Path) -> Iterator[list[str]]:
    """Nobody answers who asks for a name; yields what a command begins with that asks there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.53", 53))
        there = root / "resolv.conf"
        there.write_text("nameserver 127.0.0.53\noptions timeout:30\n")
        inside = f'mount --bind {there} /etc/resolv.conf && exec "$@"'
        yield ["unshare", "--mount", "sh", "-c", inside, "sh"]


@pytest.mark.skipif(bool(os.geteuid()), reason="a name server and mounts of its own need root")
def test_a_stop_while_no_name_server_answers(tmp_path: Path) -> None:
    """The loop waited for the look-up of a member's name, and the stop was cut short with 74."""
    if subprocess.run(["unshare", "--mount", "true"], check=False).returncode:
        pytest.skip("mounts of its own cannot be had here (unshare)")
    with silent_name_server(tmp_path) as command:
        cluster = Cluster(tmp_path, 1, command=[*command, *ROOST], has_own_groups=True)
        try:
            mine = f"m0={cluster.peer_url(0)}"
            cluster.start(0, f"--initial-cluster={mine},m1=http://nobody.example:2380")
            assert stop_at(cluster, 0, signal.SIGTERM, _waits) == 0, cluster.log_end(0)
            assert "cut short" not in cluster.log_end(0)
        finally:
            cluster.stop_all()


def _waits(cluster: Cluster) -> bool:
    return "waits for a majority" in cluster.log_end(0)


def test_a_killed_member_leaves_no_process(tmp_path: Path) -> None:
    flags = (
        f"--backup-dir={tmp_path / 'kept'}",
        "--backup-interval=10ms",
        "--scrub-interval=100ms",
    )
    with members(tmp_path, 1, *flags) as cluster:
        for module in (
            "roost.store.snapshot",
            "roost.store.scrub",
            "roost.member.snapshots.shelf_work",
        ):
            process = cluster.start(0)
            moment = partial(has_child(module), cluster)
            wait_until(moment)
            assert children_of(process.pid)
            process.kill()
            process.wait()
            wait_until(lambda: not processes_about(str(tmp_path)), timeout_s=STOP_S)
