"""What compaction takes away, and what it must not, against the history as dicts."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.errors import Refused
from roost.etcd import errors
from roost.etcd.model.alarms import Alarms
from roost.etcd.model.compaction import compact, compact_slice
from roost.etcd.model.costs import INLINE_ROWS_MAX, at_once
from roost.etcd.model.kv import COMPACT_SLICE_COUNT, KvOperations
from roost.etcd.model.mvcc import (
    REVISION_BYTES,
    REVISION_KEY,
    TOMBSTONE,
    Mvcc,
    encode_now,
    main_of,
    revision_bytes,
)
from roost.etcd.model.ranges import Room, range_pieces, single_body
from roost.etcd.model.txn_reading import TxnReading
from roost.proto import rpc_pb2 as pb
from roost.store import Changes, Long
from roost.store.walk import PASSED_MAX
from tests.etcd.model.histories import PLAIN_TRANSACTIONS, TRANSACTIONS, History, Write
from tests.etcd.replica import LocalReplica
from tests.steps import Steps, slices_of


def compacted(
    shared: LocalReplica, transactions: list[list[Write]], revision: int, slice_max: int
) -> tuple[History, int]:
    """A history, compacted somewhere slice by slice; and where."""
    history = History(Mvcc(shared.store), shared.store.begin())
    history.write(transactions)
    at = 1 + revision % history.revision
    compact(history.mvcc, history.txn, at)
    while at_once(compact_slice(history.mvcc, history.txn, slice_max)):
        pass
    return history, at


def entries(history: History) -> list[tuple[bytes, int, bool]]:
    """What is left: (escaped key, main revision, whether it is a delete), in order."""
    rows = history.txn.iterate(history.mvcc.history)
    return [
        (name[:-REVISION_BYTES], main_of(name[-REVISION_BYTES:]), flag == TOMBSTONE)
        for name, flag in rows
    ]


@settings(max_examples=60)
@given(TRANSACTIONS, st.integers(0, 20), st.integers(2, 9))
def test_from_the_compacted_revision_on_everything_reads_as_before(
    shared: LocalReplica, transactions: list[list[Write]], revision: int, slice_max: int
) -> None:
    history, at = compacted(shared, transactions, revision, slice_max)
    for later in range(at, history.revision + 1):
        assert history.told_at(later) == history.states[later]
        assert history.range_at(b"", None, later) == sorted(history.states[later])


@settings(max_examples=60)
@given(TRANSACTIONS, st.integers(0, 20), st.integers(2, 9))
def test_nothing_is_left_that_nobody_can_see(
    shared: LocalReplica, transactions: list[list[Write]], revision: int, slice_max: int
) -> None:
    history, at = compacted(shared, transactions, revision, slice_max)
    left = entries(history)
    for (key, main, _), (next_key, next_main, _) in pairwise(left):
        assert key != next_key or next_main > at, (main, "is outdone by what is seen instead")
    assert not [it for it in left if it[2] and it[1] < at], "a delete that nobody is told of"
    kept = list(history.txn.iterate(history.mvcc.revisions))
    assert len(kept) == len(left), "each entry has its revision, and no revision is left alone"


@settings(max_examples=60)
@given(PLAIN_TRANSACTIONS, st.integers(0, 20), st.integers(2, 9))
def test_a_delete_from_the_compacted_revision_on_is_still_an_event(
    shared: LocalReplica, transactions: list[list[Write]], revision: int, slice_max: int
) -> None:
    history, at = compacted(shared, transactions, revision, slice_max)
    told = sorted(main for _, main, is_delete in entries(history) if is_delete)
    assert told == [it for it in history.deletes if it >= at]


def test_revisions_below_are_refused_before_anything_is_removed(shared: LocalReplica) -> None:
    history = History(Mvcc(shared.store), shared.store.begin())
    history.write([[(b"a", True)]] * 3)
    before = entries(history)
    compact(history.mvcc, history.txn, 3)
    assert entries(history) == before
    with pytest.raises(Refused) as refused:
        history.mvcc.check_revision(history.txn, 2, 4)
    assert str(refused.value) == str(errors.compacted())
    history.mvcc.check_revision(history.txn, 3, 4)


@pytest.mark.parametrize(
    ("revision", "refusal"), [(2, errors.compacted()), (5, errors.future_revision())]
)
def test_nobody_compacts_twice_or_what_is_not_there_yet(
    shared: LocalReplica, revision: int, refusal: Refused
) -> None:
    history = History(Mvcc(shared.store), shared.store.begin())
    history.write([[(b"a", True)]] * 3)
    compact(history.mvcc, history.txn, 2)
    with pytest.raises(Refused) as refused:
        compact(history.mvcc, history.txn, revision)
    assert str(refused.value) == str(refusal)


def test_a_removal_on_its_way_starts_over_with_the_newer_revision(shared: LocalReplica) -> None:
    history = History(Mvcc(shared.store), shared.store.begin())
    history.write([[(b"a", True)], [(b"b", True)]] * 4)
    compact(history.mvcc, history.txn, 5)
    assert at_once(compact_slice(history.mvcc, history.txn, 2))
    compact(history.mvcc, history.txn, 9)
    while at_once(compact_slice(history.mvcc, history.txn, 2)):
        pass
    assert [main for _, main, _ in entries(history)] == [8, 9]
    assert not at_once(compact_slice(history.mvcc, history.txn, 2)), "there is nothing more to do"


def test_a_part_of_a_removal_is_no_more_than_a_turn_has_time_for() -> None:
    """Issue 14: a thousand entries went in one operation, which took 5 ms, and to apply it 11."""
    replica = LocalReplica()
    mvcc = Mvcc(replica.store)
    history = History(mvcc, replica.store.begin())
    for revision in range(2, 1002):
        where = revision_bytes(revision, 0)
        history.txn.put(mvcc.history, b"a\0\1" + where, b"")
        history.txn.put(mvcc.revisions, where, b"")
    history.txn.put(mvcc.meta, REVISION_KEY, encode_now(1001, 1))
    compact(mvcc, history.txn, 1001)
    replica.store.apply(replica.store.applied_index + 1, history.txn.encode())
    operations, counts = KvOperations(mvcc, Alarms(replica.store)), list[int]()
    answer: bytes | Long = b"1"
    while answer == b"1":
        txn = replica.store.begin()
        with Steps() as steps:
            answer = operations.compact_slice(txn, b"")
            payload = txn.encode()
            replica.store.apply(replica.store.applied_index + 1, payload)
        assert steps.count < 20_000
        assert txn.cost > INLINE_ROWS_MAX or answer == b"", "others have the next turn"
        counts.append(len(Changes(payload).writes))
    assert len(counts) >= 1000 // COMPACT_SLICE_COUNT
    assert max(counts) <= 2 * COMPACT_SLICE_COUNT + 1
    rows = replica.view.iterate(mvcc.history)
    assert [main_of(name[-REVISION_BYTES:]) for name, _ in rows] == [1001]
    replica.close()


def test_what_was_compacted_of_a_key_that_is_gone_is_passed_in_steps(shared: LocalReplica) -> None:
    """Issue 14: a read of it at an older revision passed all of it in one step."""
    mvcc, txn = Mvcc(shared.store), shared.store.begin()
    count = 10 * PASSED_MAX
    for revision in range(2, count):
        name = b"a\0\1" + revision_bytes(revision, 0)
        txn.put(mvcc.history, name, b"")
        txn.delete(mvcc.history, name)
    txn.put(mvcc.meta, REVISION_KEY, encode_now(count + 1, 0))
    counts, found = slices_of(mvcc.at(txn, b"a", count))
    assert (found, len(counts)) == (None, 10)
    assert max(counts) < 12_000
    # However it is asked: alone, or in a transaction.
    asked = pb.RangeRequest(key=b"a", revision=count)
    assert len(list(single_body(mvcc, txn, asked, count + 1))) == 9
    assert len(list(range_pieces(mvcc, txn, asked, count + 1, Room(1000)))) == 9
    reading = TxnReading(
        mvcc, txn, pb.TxnRequest(success=[pb.RequestOp(request_range=asked)]), room=Room(1000)
    )
    assert len(list(reading.measure())) >= 9


def test_what_the_last_compaction_has_removed_is_passed_in_parts(shared: LocalReplica) -> None:
    """A compaction that followed at once passed all of it in one step."""
    history = History(Mvcc(shared.store), shared.store.begin())
    count = 4 * PASSED_MAX
    for revision in range(2, count + 2):
        history.txn.put(history.mvcc.history, b"a\0\1" + revision_bytes(revision, 0), b"")
    history.txn.put(history.mvcc.meta, REVISION_KEY, encode_now(count + 1, 1))
    compact(history.mvcc, history.txn, count)
    assert not at_once(compact_slice(history.mvcc, history.txn, 2 * count))
    compact(history.mvcc, history.txn, count + 1)
    parts = list(compact_slice(history.mvcc, history.txn, 10))
    assert len(parts) >= 4
    assert max(parts) <= PASSED_MAX
    assert [main for _, main, _ in entries(history)] == [count + 1]
