"""The removal of what was compacted: what sets it off, and what does not."""

from collections.abc import Iterator

import pytest

from roost import etcd
from roost.call import Unary
from roost.etcd.upkeep import sweep
from roost.etcd.upkeep.sweep import SLICE_OPERATION
from roost.outcome import ReadDone
from roost.proto import rpc_pb2 as pb
from roost.store import Long, Txn
from roost.store.observers import Observers
from tests.etcd.replica import Answer, LocalFiles, LocalReplica


class CountingFiles(LocalFiles):
    """Counts how often everything was to be made durable."""

    def __init__(self) -> None:
        self.durable_count = 0

    def make_durable(self, done: ReadDone) -> None:
        self.durable_count += 1
        done(None)


@pytest.fixture(autouse=True, params=[0, 2048])
def searched_bytes_max(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is larger is not searched: half a millisecond of each put of a megabyte went there."""
    monkeypatch.setattr(sweep, "_SEARCHED_BYTES_MAX", request.param)


@pytest.fixture
def replica() -> Iterator[LocalReplica]:
    replica = LocalReplica()
    replica.files = CountingFiles()
    yield replica
    replica.close()


def call(services: etcd.Services, name: str, body: bytes) -> None:
    answer = Answer()
    route = services.routes()[f"/etcdserverpb.KV/{name}".encode()]
    assert isinstance(route, Unary)
    route.handle(answer, body)
    assert answer.error is None, answer.error


def test_a_value_with_the_name_of_the_mark_in_it_is_no_compaction(replica: LocalReplica) -> None:
    """Each such put had everything written to the disk, as at the end of a removal."""
    services = etcd.Services(replica, replica.store)
    assert isinstance(replica.files, CountingFiles)
    request = pb.PutRequest(key=b"log", value=b"the database is compacting")
    call(services, "Put", request.SerializeToString())
    assert replica.files.durable_count == 0
    call(services, "Compact", pb.CompactionRequest(revision=2).SerializeToString())
    assert replica.files.durable_count == 1


def test_how_far_a_removal_is_is_said_until_it_is_over(replica: LocalReplica) -> None:
    now_s = [10.0]
    services = etcd.Services(replica, replica.store, clock_s=lambda: now_s[0])
    for at in range(300):
        request = pb.PutRequest(key=bytes([1 + at % 150]), value=b"x")
        call(services, "Put", request.SerializeToString())
    assert services.removal() is None
    # Nobody leads here, so that it begins, and goes no further by itself.
    replica.leader_id = 0
    call(services, "Compact", pb.CompactionRequest(revision=301).SerializeToString())
    begun = services.removal()
    assert begun is not None
    assert (begun.share, begun.removed_count) == (0.0, 0)
    now_s[0] += 5
    replica.transact_nowait(SLICE_OPERATION, b"", lambda _outcome: None)
    amid = services.removal()
    assert amid is not None
    assert 0.1 < amid.share < 0.9
    assert (amid.removed_count > 0, amid.seconds) == (True, 5.0)
    while services.removal() is not None:
        replica.transact_nowait(SLICE_OPERATION, b"", lambda _outcome: None)


def test_what_is_removed_counts_once_where_it_is_applied(replica: LocalReplica) -> None:
    """A slice runs again when its leader has lost its office, and on the others never."""
    services = etcd.Services(replica, replica.store)
    for _ in range(50):
        call(services, "Put", pb.PutRequest(key=b"key").SerializeToString())
    replica.leader_id = 0
    call(services, "Compact", pb.CompactionRequest(revision=51).SerializeToString())
    for _ in range(3):
        assert replica._operations[SLICE_OPERATION](replica.store.begin(), b"") == b""
    counts = services._mvcc.counts
    assert counts.compacted == 0
    slices(replica, services)
    assert counts.compacted == 49


def compact_and_wait(services: etcd.Services, revision: int) -> Answer:
    """Compact, and be answered when what was compacted is gone."""
    answer = Answer()
    route = services.routes()[b"/etcdserverpb.KV/Compact"]
    assert isinstance(route, Unary)
    request = pb.CompactionRequest(revision=revision, physical=True)
    route.handle(answer, request.SerializeToString())
    return answer


def slices(replica: LocalReplica, services: etcd.Services) -> None:
    while services.removal() is not None:
        replica.transact_nowait(SLICE_OPERATION, b"", lambda _outcome: None)


def test_a_removal_whose_last_slice_is_long_is_over(
    replica: LocalReplica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It passes what the last compaction has removed; its entry does not have the mark in it."""
    services = etcd.Services(replica, replica.store)
    put = pb.PutRequest(key=b"key", value=b"x").SerializeToString()
    for _ in range(2000):
        call(services, "Put", put)
    assert compact_and_wait(services, 2001).message is not None
    for _ in range(3):
        call(services, "Put", put)
    replica.leader_id = 0  # so that it does not go on by itself
    longs, run_long = list[bytes](), replica.run_long

    def counted(long: Long, txn: Txn) -> bytes:
        longs.append(run_long(long, txn))
        return longs[-1]

    monkeypatch.setattr(replica, "run_long", counted)
    answer = compact_and_wait(services, 2004)
    assert answer.message is None, "nothing is removed yet"
    slices(replica, services)
    assert longs == [b""], "the last slice was a long one"
    assert answer.message is not None


def begin_unseen(replica: LocalReplica, services: etcd.Services) -> None:
    """Have a removal be there that nobody who observes has seen begin."""
    put = pb.PutRequest(key=b"key", value=b"x").SerializeToString()
    for _ in range(3):
        call(services, "Put", put)
    replica.leader_id = 0
    observers, replica.store._observers = replica.store._observers, Observers()
    call(services, "Compact", pb.CompactionRequest(revision=4).SerializeToString())
    replica.store._observers = observers


def told_at_its_end(services: etcd.Services) -> list[bool]:
    """Something is in it when whoever waits for the end of the removal was told."""
    told = list[bool]()
    call_at_its_end = services._sweep.wait
    call_at_its_end(lambda: told.append(True))
    return told


def test_what_a_snapshot_has_begun_is_over_when_its_mark_goes(replica: LocalReplica) -> None:
    """The member did not apply its begin: all that it sees of it is the end."""
    services = etcd.Services(replica, replica.store)
    begin_unseen(replica, services)
    services._read_again()
    told = told_at_its_end(services)
    assert not told, "nothing is removed yet"
    slices(replica, services)
    assert told == [True]


def test_what_was_begun_before_a_start_is_over_when_its_mark_goes(replica: LocalReplica) -> None:
    begin_unseen(replica, etcd.Services(replica, replica.store))
    started = etcd.Services(replica, replica.store)
    told = told_at_its_end(started)
    assert not told, "nothing is removed yet"
    slices(replica, started)
    assert told == [True]
