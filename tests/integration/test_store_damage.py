"""Real members whose stores are damaged in any page, or gone: each comes back whole."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from roost.client import Client, ClientError, HashKv
from roost.proto import rpc_pb2
from roost.testing.cluster import ROOST, Cluster
from roost.testing.pages import damage_page, find_pages
from roost.testing.patience import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
KEYS = 1000
_OPERATIONS = 100
DAMAGES = ("zeros", "noise", "noisy body", "other")
# No read need come across a branch that leads elsewhere: then a scrub does.
SCRUBBING = "--scrub-interval=2s"
WAIT_S = 180


def fill(cluster: Cluster) -> None:
    """Have more keys than a few pages hold."""
    cluster.leader()
    for first in range(0, KEYS, _OPERATIONS):
        request = rpc_pb2.TxnRequest()
        for number in range(first, first + _OPERATIONS):
            put = request.success.add().request_put
            put.key, put.value = b"k%04d" % number, b"value-%04d" % number
        wait_until(partial(is_done, cluster, request), timeout_s=WAIT_S)
    check_whole(cluster)


def is_done(cluster: Cluster, request: rpc_pb2.TxnRequest) -> bool:
    """Carry out what may be carried out again; False when nobody answered in time."""
    try:
        with Client(cluster.endpoints, timeout_s=20) as client:
            client.ask_txn(request)
    except ClientError:
        return False
    return True


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Three members that hold KEYS keys."""
    with Cluster(tmp_path, 3) as started:
        fill(started)
        yield started


def store_of(cluster: Cluster, position: int) -> Path:
    """The directory of the store that a member uses."""
    return max((cluster.root / f"m{position}").glob("db.*"))


def is_said(log: Path, text: bytes) -> bool:
    return text in log.read_bytes()


def is_serving(cluster: Cluster, position: int) -> bool:
    return cluster.status(position) is not None


def start_until_whole(cluster: Cluster, position: int, *flags: str) -> None:
    """Start a member as a supervisor does, until it has fetched a store and serves."""
    log = cluster.log_path(position)
    before = log.read_bytes().count(b"fetched anew; it holds")
    cluster.start(position, *flags)

    def is_whole() -> bool:
        code = cluster.process(position).poll()
        if code is not None:
            assert code in (-signal.SIGABRT, -signal.SIGBUS, -signal.SIGSEGV), cluster.log_end(
                position
            )
            cluster.start(position, *flags)
        return log.read_bytes().count(b"fetched anew; it holds") > before

    wait_until(is_whole, timeout_s=WAIT_S)
    wait_until(partial(is_serving, cluster, position), timeout_s=WAIT_S)


def check_whole(cluster: Cluster) -> None:
    """Every member holds every key, and all hold the same."""

    def holds_all(endpoint: str) -> bool:
        try:
            with Client([endpoint], timeout_s=20) as client:
                return client.count(b"k", b"l") == KEYS
        except ClientError:
            return False

    def hashes() -> set[HashKv]:
        found = set()
        for endpoint in cluster.endpoints:
            with Client([endpoint], timeout_s=20) as client:
                found.add(client.hash_kv())
        return found

    wait_until(lambda: all(map(holds_all, cluster.endpoints)), timeout_s=WAIT_S)
    wait_until(lambda: len(hashes()) == 1, timeout_s=WAIT_S)


@pytest.mark.parametrize("place", ["first leaf", "middle leaf", "branch", "meta"])
def test_a_damaged_page_is_found_and_the_store_fetched_anew(cluster: Cluster, place: str) -> None:
    """By an error of LMDB's, by the end of a process that read it, or by a scrub."""
    for number, kind in enumerate(DAMAGES):
        position = number % 3
        assert cluster.stop(position) == 0
        path = store_of(cluster, position) / "data.mdb"
        pages = find_pages(path.read_bytes())
        leaf = pages["leaf"][0 if place == "first leaf" else len(pages["leaf"]) // 2]
        damaged = leaf if place.endswith("leaf") else pages[place][-1]
        damage_page(path, damaged, kind, other=pages["leaf"][-1])
        start_until_whole(cluster, position, SCRUBBING)
        check_whole(cluster)


def lose_file(directory: Path) -> None:
    (directory / "data.mdb").unlink()


def empty_file(directory: Path) -> None:
    (directory / "data.mdb").write_bytes(b"")


def cut_file(directory: Path) -> None:
    path = directory / "data.mdb"
    path.write_bytes(path.read_bytes()[:4096])


def lose_record(directory: Path) -> None:
    """Nobody says any more which store it is."""
    for name in ("store.a", "store.b"):
        (directory.parent / name).write_bytes(b"rubbish" * 20)


def test_a_store_that_is_gone_is_fetched_anew_and_not_taken_for_an_empty_one(
    cluster: Cluster,
) -> None:
    lose: list[Callable[[Path], None]] = [
        shutil.rmtree,
        lose_file,
        empty_file,
        cut_file,
        lose_record,
    ]
    for number, damage in enumerate(lose):
        position = number % 3
        assert cluster.stop(position) == 0
        damage(store_of(cluster, position))
        start_until_whole(cluster, position)
        check_whole(cluster)


def test_a_majority_that_lost_its_stores_has_them_from_the_one_that_is_left(
    cluster: Cluster,
) -> None:
    """There is no leader then: whoever has a whole store sends it."""
    for position in range(3):
        assert cluster.stop(position) == 0
    for position in (0, 1):
        path = store_of(cluster, position) / "data.mdb"
        pages = find_pages(path.read_bytes())
        damage_page(path, pages["branch"][0], "zeros")
    cluster.start(2)
    cluster.start(0)
    start_until_whole(cluster, 1)
    wait_until(partial(is_said, cluster.log_path(0), b"fetched anew; it holds"), timeout_s=WAIT_S)
    check_whole(cluster)


def test_a_member_knows_whom_to_ask_when_its_flags_do_not_say_it(cluster: Cluster) -> None:
    """As with etcd, the initial cluster may be left out of every start but the first."""
    assert cluster.stop(1) == 0
    shutil.rmtree(store_of(cluster, 1))
    start_until_whole(cluster, 1, f"--initial-cluster=m1={cluster.peer_url(1)}")
    check_whole(cluster)


def test_a_member_that_a_signal_ended_reads_its_store_before_it_uses_it(cluster: Cluster) -> None:
    for position, number in enumerate((signal.SIGABRT, signal.SIGBUS, signal.SIGSEGV)):
        process, log = cluster.process(position), cluster.log_path(position)
        process.send_signal(number)
        assert process.wait(timeout=WAIT_S) == -number
        cluster.start(position)
        wait_until(partial(is_said, log, b"nothing is wrong with its"), timeout_s=WAIT_S)
        check_whole(cluster)
        assert b"fetched anew" not in log.read_bytes()
        assert cluster.stop(position) == 0
        cluster.start(position)
        wait_until(partial(is_serving, cluster, position), timeout_s=WAIT_S)
        assert log.read_bytes().count(b"before it is used") == 1, "once"


def test_all_that_a_member_makes_is_only_for_its_owner_whatever_the_umask(tmp_path: Path) -> None:
    command = ("sh", "-c", 'umask 0; exec "$@"', "sh", *ROOST)
    with Cluster(tmp_path, 1, command=command) as cluster:
        fill(cluster)
        with Client(cluster.endpoints, timeout_s=20) as client:
            client.defragment()
            assert b"".join(client.snapshot())
        home = tmp_path / "m0"
        modes = {it: it.stat().st_mode & 0o777 for it in [home, *home.rglob("*")]}
        assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}, modes
        assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}, modes


def test_a_member_whose_keeper_a_signal_ended_starts_anew_and_reads_its_store(
    cluster: Cluster,
) -> None:
    os.kill(cluster.keeper(0), signal.SIGSEGV)
    log = cluster.log_path(0)
    wait_until(partial(is_said, log, b"nothing is wrong with its"), timeout_s=WAIT_S)
    check_whole(cluster)
    assert cluster.process(0).poll() is None, "it went on by itself"


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_single_member_with_a_damaged_store_refuses_and_says_what_can_be_done(
    tmp_path: Path, kind: str
) -> None:
    with Cluster(tmp_path, 1) as cluster:
        fill(cluster)
        assert cluster.stop(0) == 0
        path = store_of(cluster, 0) / "data.mdb"
        pages = find_pages(path.read_bytes())
        damage_page(path, pages["leaf"][0], kind, other=pages["leaf"][-1])
        held = path.read_bytes()
        for _ in range(3):
            code = cluster.start(0).wait(timeout=WAIT_S)
            if code > 0:
                break
        assert code == 74
        assert "roost snapshot restore" in cluster.log_end(0)
        assert path.read_bytes() == held, "nothing is thrown away"


def test_a_single_member_that_lost_its_store_does_not_begin_with_an_empty_one(
    tmp_path: Path,
) -> None:
    with Cluster(tmp_path, 1) as cluster:
        fill(cluster)
        assert cluster.stop(0) == 0
        aside = tmp_path / "aside"
        store_of(cluster, 0).rename(aside)
        for _ in range(2):
            assert cluster.start(0).wait(timeout=WAIT_S) == 74
        assert "db.1/data.mdb is not there" in cluster.log_end(0)
        assert "roost snapshot restore" in cluster.log_end(0)
        aside.rename(tmp_path / "m0" / "db.1")
        cluster.start(0)
        cluster.leader()
        with Client(cluster.endpoints) as client:
            assert client.count(b"k", b"l") == KEYS, "put back, it is believed again"
