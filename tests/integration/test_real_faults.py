"""Real members on disks that fail for real; a test that cannot run here says why it is skipped."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from roost.client import Client, ClientError
from roost.testing.cluster import ROOST, Cluster, Process
from roost.testing.devices import LoopDisk, fuse_reason, loop_reason, strace_reason, under_strace
from roost.testing.namespaces import Network, NetworkCluster, namespace_reason
from roost.testing.outage import run_outages
from roost.testing.patience import PATIENCE_S, wait_until
from tests.samples import SAMPLES

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
needs_loop = pytest.mark.skipif(bool(loop_reason()), reason=loop_reason())
needs_fuse = pytest.mark.skipif(bool(fuse_reason()), reason=fuse_reason())
needs_strace = pytest.mark.skipif(bool(strace_reason()), reason=strace_reason())
needs_namespaces = pytest.mark.skipif(bool(namespace_reason()), reason=namespace_reason())
EXIT_DEVICE = 74


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[LoopDisk]:
    root = tmp_path / "loop"
    root.mkdir()
    with LoopDisk(root, 96) as made:
        yield made


def put_until_it_fails(endpoint: str, count: int = 10_000) -> list[bytes]:
    """Put one key after another; return those that were acknowledged."""
    acknowledged = []
    try:
        with Client([endpoint], timeout_s=5) as client:
            for number in range(count):
                key = b"k%05d" % number
                client.put(key, key * 5)
                acknowledged.append(key)
    except ClientError:
        pass  # that is until when
    return acknowledged


def check_holds(cluster: Cluster, acknowledged: list[bytes]) -> None:
    cluster.start(0)
    cluster.leader()
    with Client(cluster.endpoints, timeout_s=PATIENCE_S) as client:
        held = {it.key for it in client.range(b"k", b"l")}
    assert set(acknowledged) <= held


def traced_cluster(tmp_path: Path, *injections: str) -> Cluster:
    """A member of which the n-th system call of a kind does not do what it should."""
    command = [*under_strace(tmp_path / "strace.log", *injections), *ROOST]
    return Cluster(tmp_path, 1, command=command)


@needs_strace
@pytest.mark.parametrize("when", [6, 14, 40] if SAMPLES == 1 else range(5, 45))
@pytest.mark.parametrize("call", ["pwritev2", "fdatasync"])
def test_a_kill_at_a_boundary_of_a_system_call_loses_nothing(
    tmp_path: Path, call: str, when: int
) -> None:
    cluster = traced_cluster(tmp_path, f"{call}:signal=SIGKILL:when={when}")
    try:
        process = cluster.start(0)
        wait_until(lambda: cluster.status_now(0) is not None or process.poll() is not None)
        acknowledged = put_until_it_fails(cluster.endpoints[0], 300)
        wait_until(lambda: process.poll() is not None)
        whole = Cluster(tmp_path, 1)
        whole.client_ports, whole.peer_ports = cluster.client_ports, cluster.peer_ports
        with stopped_at_the_end(whole):
            check_holds(whole, acknowledged)
    finally:
        cluster.stop_all()


@contextmanager
def stopped_at_the_end(cluster: Cluster) -> Iterator[None]:
    try:
        yield
    finally:
        cluster.stop_all()


@needs_strace
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_a_failed_sync_ends_the_process_and_nothing_is_acknowledged_after_it(
    tmp_path: Path, error: str
) -> None:
    """P3: the exit code is 74, and what was acknowledged before is there afterwards."""
    cluster = traced_cluster(tmp_path, f"fdatasync:error={error}:when=40+")
    try:
        process = cluster.start(0)
        wait_until(lambda: cluster.status_now(0) is not None)
        acknowledged = put_until_it_fails(cluster.endpoints[0])
        assert process.wait(timeout=PATIENCE_S) == EXIT_DEVICE
        assert 5 < len(acknowledged) < 100
        whole = Cluster(tmp_path, 1)
        whole.client_ports, whole.peer_ports = cluster.client_ports, cluster.peer_ports
        with stopped_at_the_end(whole):
            check_holds(whole, acknowledged)
    finally:
        cluster.stop_all()


def test_thirty_kills_of_whole_clusters_lose_nothing(tmp_path: Path) -> None:
    """P1: every put that was acknowledged before a kill is there after it."""
    report = run_outages(tmp_path, members=3, kills=10, power_cuts=0, say=print)
    assert report.lost == []
    assert report.kills == 30
    assert report.acknowledged > 200


@needs_loop
@pytest.mark.parametrize(("members", "cuts"), [(1, 12), (3, 4)])
def test_sixteen_power_cuts_of_everybody_at_once_lose_nothing(
    tmp_path: Path, members: int, cuts: int
) -> None:
    """P2: the file system is shut down under load, without writing its log out."""
    report = run_outages(tmp_path, members=members, kills=0, power_cuts=cuts, say=print)
    assert report.lost == []
    assert report.power_cuts == cuts


@needs_loop
@pytest.mark.parametrize(("size_mb", "segment_bytes"), [(8, 1 << 16), (96, 1 << 20)])
def test_a_full_disk_raises_an_alarm_and_room_takes_it_back(
    tmp_path: Path, size_mb: int, segment_bytes: int
) -> None:
    """J38: writes stop before the disk is full; reads, deletes and compaction go on."""
    root = tmp_path / "loop"
    root.mkdir()
    with LoopDisk(root, size_mb) as disk:
        cluster = Cluster(disk.path, 1, extra_flags=[f"--segment-bytes={segment_bytes}"])
        with stopped_at_the_end(cluster):
            cluster.start(0)
            cluster.leader()
            check_full(cluster, disk.path / "filler", value_bytes=200 * size_mb)
            assert cluster.stop(0) == 0


def check_full(cluster: Cluster, filler: Path, value_bytes: int) -> None:
    with Client(cluster.endpoints, timeout_s=20) as client:
        count = fill(client, filler, value_bytes)
        # What the log gives back meanwhile may be room enough to go on for a while.
        while not client.alarms():
            count = fill(client, filler, value_bytes, count)
        assert count > 50
        assert [it.kind for it in client.alarms()] == ["NOSPACE"]
        assert client.get(b"fill-00000") is not None
        with pytest.raises(ClientError, match="database space exceeded"):
            client.put(b"one more", b"x")
        assert client.delete(b"fill", b"film") >= count
        filler.unlink()
        wait_until(lambda: client.alarms() == [])
        client.put(b"one more", b"x")


def fill(client: Client, filler: Path, value_bytes: int, number: int = 0) -> int:
    """Put from `number` on until there is no space; somebody else fills the disk meanwhile."""
    with filler.open("ab") as file:
        while True:
            try:
                client.put(b"fill-%05d" % number, bytes(value_bytes))
            except ClientError as refused:
                if "database space exceeded" not in str(refused):
                    raise
                return number
            number += 1
            try:
                file.write(bytes(2 * value_bytes))
                file.flush()
            except OSError:
                pass  # the file system is full, and the store is not yet told so


@needs_loop
def test_when_the_leaders_disk_hangs_another_leads_within_five_seconds(
    tmp_path: Path, disk: LoopDisk
) -> None:
    moved = MovedCluster(tmp_path, disk.path / "m0")
    with stopped_at_the_end(moved):
        for position in range(3):
            moved.start(position)
        leader = moved.leader()
        if leader != 0:
            move_leader(moved, 0)
        others = moved.endpoints[1:]

        def is_served() -> bool:
            try:
                with Client(others, timeout_s=1) as client:
                    client.put(b"after", b"the disk hung")
            except ClientError:
                return False
            return True

        disk.freeze()
        began = time.monotonic()
        wait_until(is_served, timeout_s=30)
        took_s = time.monotonic() - began
        disk.thaw()
        assert took_s < 5


def has_all(client: Client) -> bool:
    with suppress(ClientError):  # on a busy machine it takes long to catch up
        return client.count(b"k", b"l") == 120
    return False


def test_a_leader_whose_store_makes_no_room_hands_over_within_five_seconds(tmp_path: Path) -> None:
    """Its keeper is stopped: heartbeats and journal go on, and nothing could be executed."""
    with Cluster(tmp_path, 3) as cluster:
        stuck = cluster.leader()
        wait_until(lambda: all(cluster.status(it) is not None for it in range(3)))
        keeper = cluster.keeper(stuck)
        os.kill(keeper, signal.SIGSTOP)
        others = [it for position, it in enumerate(cluster.endpoints) if position != stuck]
        longest_s, written, last_s = 0.0, 0, time.monotonic()
        with Client(others, timeout_s=20) as client:
            while written < 120:
                with suppress(ClientError):
                    client.put(b"k%03d" % written, bytes(1 << 20))
                    written += 1
                    longest_s = max(longest_s, time.monotonic() - last_s)
                    last_s = time.monotonic()
        assert cluster.leader() != stuck
        assert longest_s < 5
        os.kill(keeper, signal.SIGCONT)
        with Client([cluster.endpoints[stuck]], timeout_s=20) as client:
            wait_until(lambda: has_all(client))


class MovedCluster(Cluster):
    """Three members, the first of which has its data elsewhere."""

    def __init__(self, root: Path, first: Path) -> None:
        super().__init__(root, 3)
        self._first = first

    def flags(self, position: int) -> list[str]:
        flags = super().flags(position)
        if position == 0:
            flags = [it for it in flags if not it.startswith("--data-dir")]
            flags.append(f"--data-dir={self._first}")
        return flags


def move_leader(cluster: Cluster, position: int) -> None:
    wait_until(lambda: all(cluster.status_now(it) is not None for it in range(3)))
    answer = cluster.status(position)
    target = answer.header.member_id

    def has_moved() -> bool:
        leader = cluster.leader()
        if leader != position:
            # On a busy machine a transfer may take too long, and is refused then.
            with suppress(ClientError), Client([cluster.endpoints[leader]]) as client:
                client.move_leader(target)
        return cluster.leader() == position

    wait_until(has_moved)


@needs_strace
def test_a_leader_with_half_a_second_a_sync_goes_on_serving(tmp_path: Path) -> None:
    """Heartbeats never wait for the disk, and the others' disks are enough for a majority."""
    slow = under_strace(tmp_path / "strace.log", "fdatasync:delay_enter=500000")

    class OneSlow(Cluster):
        def start(self, position: int, *more: str) -> Process:
            self._command = [*slow, *ROOST] if position == 0 else [*ROOST]
            return super().start(position, *more)

    cluster = OneSlow(tmp_path, 3)
    with stopped_at_the_end(cluster):
        for position in range(3):
            cluster.start(position)
        cluster.leader()
        began = time.monotonic()
        with Client(cluster.endpoints[1:], timeout_s=10) as client:
            for number in range(30):
                client.put(b"k%d" % number, b"v")
        assert time.monotonic() - began < 10
        assert cluster.leader() in range(3)


def test_a_leader_that_was_stopped_never_answers_with_what_is_old(tmp_path: Path) -> None:
    """SIGSTOP for longer than an election; what it says afterwards is the newest, or an error."""
    with Cluster(tmp_path, 3) as cluster:
        for number in range(3 * SAMPLES):
            leader = cluster.leader()
            with Client([cluster.endpoints[leader]], timeout_s=PATIENCE_S) as client:
                client.put(b"x%d" % number, b"old")
            os.kill(cluster.process(leader).pid, signal.SIGSTOP)
            others = [it for it in range(3) if it != leader]
            # A key for each round: what a client gave up on may still be done, later.
            wait_put(cluster, others, b"new", key=b"x%d" % number)
            os.kill(cluster.process(leader).pid, signal.SIGCONT)
            try:
                with Client([cluster.endpoints[leader]], timeout_s=5) as client:
                    found = client.get(b"x%d" % number)
            except ClientError:
                continue
            assert found is not None
            assert found.value == b"new"


def wait_put(cluster: Cluster, positions: list[int], value: bytes, key: bytes = b"x") -> None:
    def is_put() -> bool:
        for position in positions:
            try:
                with Client([cluster.endpoints[position]], timeout_s=1) as client:
                    client.put(key, value)
            except ClientError:
                continue
            return True
        return False

    wait_until(is_put)


def put_until_it_ends(cluster: Cluster) -> list[bytes]:
    """The keys acknowledged by a member whose device has begun to fail, or soon will.

    A put may fail for other reasons, as time on a busy machine: only the member's end ends it.
    """
    acknowledged: list[bytes] = []
    process, number = cluster.process(0), 0
    deadline = time.monotonic() + 240
    with Client(cluster.endpoints, timeout_s=20) as client:
        while process.poll() is None:
            assert time.monotonic() < deadline, cluster.log_end(0)
            key = b"k%05d" % number
            number += 1
            with suppress(ClientError):
                client.put(key, os.urandom(50_000))
                acknowledged.append(key)
    return acknowledged


@contextmanager
def keeper_under_strace(keeper: int, log: Path, injection: str) -> Iterator[None]:
    """System calls of a keeper that runs already fail."""
    call = injection.partition(":")[0]
    options = ("-e", f"trace={call}", "-e", f"inject={injection}")
    command = ["strace", "-f", "-o", str(log), *options, "-p", str(keeper)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        assert tracer.stderr is not None
        assert b"attached" in tracer.stderr.readline()
        yield
    finally:
        tracer.terminate()
        tracer.communicate()


@needs_strace
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_a_failed_sync_of_the_store_ends_the_process(tmp_path: Path, error: str) -> None:
    """P3, J18: a device with less room than its file system believes says so once."""
    with Cluster(tmp_path, 1) as cluster:
        cluster.leader()
        keeper = cluster.keeper(0)
        with keeper_under_strace(keeper, tmp_path / "strace", f"fdatasync:error={error}"):
            acknowledged = put_until_it_ends(cluster)
        assert cluster.process(0).wait(timeout=30) == EXIT_DEVICE
        assert acknowledged
        check_holds(cluster, acknowledged)


@needs_loop
def test_what_cannot_be_written_back_ends_the_process_and_loses_nothing(tmp_path: Path) -> None:
    """P3, fsyncgate: the first sync after the failure is the only one that says so."""
    root = tmp_path / "loop"
    root.mkdir()
    with LoopDisk(root, 256, backing_mb=64) as disk:
        cluster = Cluster(disk.path, 1, extra_flags=["--segment-bytes=1048576"])
        with stopped_at_the_end(cluster):
            process = cluster.start(0)
            cluster.leader()
            acknowledged = put_until_it_ends(cluster)
            assert process.wait(timeout=PATIENCE_S) == EXIT_DEVICE
            assert len(acknowledged) > 50
            disk.repair_device()
            disk.restore_power()
            check_holds(cluster, acknowledged)


@needs_fuse
def test_a_device_that_fails_ranges_of_its_writes_ends_the_process_and_loses_nothing(
    tmp_path: Path,
) -> None:
    """P3: errors of write-back from the device itself, a quarter of it; it works again later."""
    root = tmp_path / "loop"
    root.mkdir()
    with LoopDisk(root, 256, may_fail=True) as disk:
        cluster = Cluster(disk.path, 1, extra_flags=["--segment-bytes=1048576"])
        with stopped_at_the_end(cluster):
            process = cluster.start(0)
            cluster.leader()
            with Client(cluster.endpoints, timeout_s=20) as client:
                client.put(b"kept", b"1")
            disk.fail_device(*((at << 20, (at + 1) << 20) for at in range(0, 256, 4)))
            acknowledged = put_until_it_ends(cluster)
            assert process.wait(timeout=PATIENCE_S) == EXIT_DEVICE
            disk.repair_device()
            disk.restore_power()
            check_holds(cluster, [b"kept", *acknowledged])


@needs_namespaces
def test_a_direction_that_is_cut_stops_nobody_for_long(tmp_path: Path) -> None:
    """P9: whichever single direction fails, the members that can talk have a leader."""
    with Network(3) as network:
        cluster = NetworkCluster(tmp_path, network)
        with stopped_at_the_end(cluster):
            for position in range(3):
                cluster.start(position)
            leader = cluster.leader()
            others = [it for it in range(3) if it != leader]
            for sender, receiver in ((leader, others[0]), (others[1], leader)):
                network.cut(sender, receiver)
                wait_put(cluster, [0, 1, 2], b"%d" % sender)
                network.join(sender, receiver)
            for other in others:  # the leader hears nobody, and does not know it
                network.cut(other, leader)
            wait_put(cluster, others, b"without it")
            for other in others:
                network.join(other, leader)
            wait_put(cluster, [leader], b"together")
