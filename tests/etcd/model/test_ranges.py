"""Ranges with a limit end there, and their counts are exact without a walk over all keys."""

import random
from collections.abc import Iterator

import pytest

from roost.etcd.model.costs import at_once
from roost.etcd.model.mvcc import Mvcc, Writer, range_stop
from roost.etcd.model.ranges import UNBOUNDED, range_pieces
from roost.proto import rpc_pb2 as pb
from roost.proto.ranges import prefix_end
from tests.etcd.replica import LocalReplica
from tests.steps import steps_of


@pytest.fixture
def replica() -> Iterator[LocalReplica]:
    it = LocalReplica()
    yield it
    it.close()


def write(replica: LocalReplica, mvcc: Mvcc, keys: list[tuple[bytes, bool]]) -> None:
    """Put keys, or delete them, in one write set; as a leader or as a follower."""
    store = replica.store
    txn = store.begin()
    for key, is_put in keys:
        writer = Writer(mvcc, txn)
        old = txn.get(mvcc.kv, key)
        if is_put:
            writer.put(key, b"v" * len(key), 0, old)
        elif old is not None:
            writer.delete(key, old)
    if txn.is_empty:
        return  # nothing is proposed then
    index, payload = store.applied_index + 1, txn.encode()
    if len(keys) % 2:
        store.speculate(index, txn, payload)
    store.apply(index, payload)


def answered(replica: LocalReplica, mvcc: Mvcc, **fields: object) -> pb.RangeResponse:
    request = pb.RangeRequest(**fields)  # type: ignore[arg-type]  # a test's fields
    view = replica.store.view
    pieces = range_pieces(mvcc, view, request, mvcc.revision(view), UNBOUNDED)
    return pb.RangeResponse.FromString(b"".join(at_once(pieces)))


@pytest.mark.parametrize("seed", range(4))
def test_counts_and_pages_are_those_of_a_walk(replica: LocalReplica, seed: int) -> None:
    mvcc, chance = Mvcc(replica.store), random.Random(seed)
    keys: set[bytes] = set()
    for turn in range(120):
        changes = [
            (b"%05d" % chance.randrange(3000), chance.random() < 0.7)
            for _ in range(chance.randint(1, 60))
        ]
        write(replica, mvcc, changes)
        for key, is_put in changes:
            (keys.add if is_put else keys.discard)(key)
        if turn > 20:
            mvcc.key_counts.go_on()
        if turn % 40 == 39:
            replica.store.flush()
        first, last = sorted((b"%05d" % chance.randrange(3000), b"%05d" % chance.randrange(3000)))
        end = chance.choice([b"\0", last + b"x"])
        stop = range_stop(first, end)
        inside = sorted(it for it in keys if it >= first and (stop is None or it < stop))
        limit = chance.choice([0, 1, 7, 5000])
        order = chance.choice([pb.RangeRequest.NONE, pb.RangeRequest.DESCEND])
        answer = answered(replica, mvcc, key=first, range_end=end, limit=limit, sort_order=order)
        wanted = inside[::-1] if order == pb.RangeRequest.DESCEND else inside
        assert [it.key for it in answer.kvs] == (wanted[:limit] if limit else wanted)
        assert (answer.count, answer.more) == (len(inside), 0 < limit < len(inside))
        counted = answered(replica, mvcc, key=first, range_end=end, count_only=True)
        assert (counted.count, len(counted.kvs)) == (len(inside), 0)
    assert mvcc.key_counts.is_done
    assert mvcc.known_count(b"", None) == mvcc.key_count(replica.store.view)


def test_a_page_and_a_count_of_many_keys_cost_little(replica: LocalReplica) -> None:
    """Issue 14: a page of one key of 300,000 held the loop for 2.3 s."""
    mvcc = Mvcc(replica.store)
    for begin in range(0, 20_000, 500):
        write(replica, mvcc, [(b"k/%06d" % it, True) for it in range(begin, begin + 500)])
    while not mvcc.key_counts.is_done:
        mvcc.key_counts.go_on()

    def page() -> pb.RangeResponse:
        return answered(replica, mvcc, key=b"k/", range_end=prefix_end(b"k/"), limit=1)

    def count() -> pb.RangeResponse:
        return answered(replica, mvcc, key=b"k/000100", range_end=b"k/019900", count_only=True)

    assert (page().count, page().more) == (20_000, True)
    assert count().count == 19_800
    assert steps_of(page) < 20_000
    assert steps_of(count) < 20_000


def test_the_keys_of_another_store_are_counted_anew(replica: LocalReplica) -> None:
    mvcc = Mvcc(replica.store)
    write(replica, mvcc, [(b"a", True)])
    mvcc.key_counts.go_on()
    assert mvcc.key_counts.is_done
    mvcc.key_counts.begin_anew()
    write(replica, mvcc, [(b"b", True)])
    assert answered(replica, mvcc, key=b"a", range_end=b"c", count_only=True).count == 2
    mvcc.key_counts.go_on()
    assert answered(replica, mvcc, key=b"a", range_end=b"c", count_only=True).count == 2


def test_a_count_that_is_wrong_costs_a_walk_and_no_member(
    replica: LocalReplica, caplog: pytest.LogCaptureFixture
) -> None:
    """It is a fault of ours, where entries are applied: on every member alike."""
    mvcc = Mvcc(replica.store)
    write(replica, mvcc, [(b"a", True), (b"b", True)])
    mvcc.key_counts.go_on()
    mvcc.key_counts._census._counts[0] = 0
    write(replica, mvcc, [(b"a", False)])
    assert "counted anew" in caplog.text
    mvcc.key_counts.go_on()
    assert answered(replica, mvcc, key=b"a", range_end=b"c", count_only=True).count == 1
