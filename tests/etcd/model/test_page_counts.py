"""Pages at a revision: each says how many keys follow, without a walk over them."""

import random
from collections.abc import Iterator

import pytest

from roost.etcd.model.costs import at_once
from roost.etcd.model.mvcc import Mvcc, Writer
from roost.etcd.model.page_counts import KEY_BYTES_MAX, NOTED_COUNT_MAX, PageCounts, Rest
from roost.etcd.model.ranges import UNBOUNDED, range_pieces
from roost.proto import rpc_pb2 as pb
from roost.store import View
from tests.etcd.replica import LocalReplica
from tests.steps import steps_of


@pytest.fixture
def replica() -> Iterator[LocalReplica]:
    it = LocalReplica()
    yield it
    it.close()


def write(replica: LocalReplica, mvcc: Mvcc, puts: list[bytes], deletes: list[bytes]) -> None:
    txn = replica.store.begin()
    writer = Writer(mvcc, txn)
    for key in puts:
        writer.put(key, b"v", 0, txn.get(mvcc.kv, key))
    for key in deletes:
        old = txn.get(mvcc.kv, key)
        if old is not None:
            writer.delete(key, old)
    if not txn.is_empty:
        replica.store.apply(replica.store.applied_index + 1, txn.encode())


def answered(mvcc: Mvcc, view: View, **fields: object) -> pb.RangeResponse:
    request = pb.RangeRequest(**fields)  # type: ignore[arg-type]  # a test's fields
    pieces = range_pieces(mvcc, view, request, mvcc.revision(view), UNBOUNDED)
    return pb.RangeResponse.FromString(b"".join(at_once(pieces)))


@pytest.mark.parametrize("seed", range(6))
def test_every_page_says_what_its_revision_had(replica: LocalReplica, seed: int) -> None:
    """Several clients page, at revisions of their own, while keys come and go."""
    mvcc, chance = Mvcc(replica.store), random.Random(seed)
    names = [b"%04d" % it for it in range(400)]
    held: dict[int, list[bytes]] = {}
    pagers: list[tuple[int, bytes]] = []
    found_count = 0
    for _ in range(150):
        puts = chance.sample(names, chance.randint(0, 20))
        write(replica, mvcc, puts, chance.sample(names, chance.randint(0, 12)))
        view = replica.store.view
        current = mvcc.revision(view)
        held[current] = [it.key for it in answered(mvcc, view, key=b"0", range_end=b"9").kvs]
        pagers.append((current if chance.random() < 0.5 else chance.choice(list(held)), b"0"))
        revision, first = pagers.pop(chance.randrange(len(pagers)))
        limit = chance.choice([1, 7, 50])
        left = [it for it in held[revision] if it >= first]
        asked = revision if first != b"0" or revision != current else 0
        answer = answered(mvcc, view, key=first, range_end=b"9", limit=limit, revision=asked)
        assert [it.key for it in answer.kvs] == left[:limit]
        assert (answer.count, answer.more) == (len(left), limit < len(left))
        if answer.more:
            after = answer.kvs[-1].key + b"\x00"
            pagers.append((revision, after))
            found_count += mvcc.page_counts.find(Rest(revision, after, b"9")) is not None
    assert found_count > 20


def test_what_a_transaction_sees_of_its_own_is_noted_for_nobody(replica: LocalReplica) -> None:
    """It may be refused in the end, and another one gets its revision."""
    mvcc = Mvcc(replica.store)
    write(replica, mvcc, [b"a", b"b", b"c"], [])
    txn = replica.store.begin()
    Writer(mvcc, txn).put(b"d", b"v", 0, None)
    assert answered(mvcc, txn, key=b"a", range_end=b"z", limit=1).count == 4
    revision = mvcc.revision(txn)
    assert mvcc.page_counts.find(Rest(revision, b"a\x00", b"z")) is None
    write(replica, mvcc, [b"x", b"y"], [])
    assert mvcc.revision(replica.store.view) == revision
    answer = answered(mvcc, replica.store.view, key=b"a\x00", range_end=b"z", limit=1)
    assert answer.count == 4


def test_pages_that_are_not_whole_are_noted_for_nobody(replica: LocalReplica) -> None:
    """Backwards, other keys follow; where some are passed over, others than these are counted."""
    mvcc = Mvcc(replica.store)
    write(replica, mvcc, [b"a", b"b", b"c", b"d"], [])
    view, revision = replica.store.view, mvcc.revision(replica.store.view)
    for more in (
        {"sort_order": pb.RangeRequest.DESCEND},
        {"min_mod_revision": 1},
        {"sort_target": pb.RangeRequest.VALUE},
    ):
        assert answered(mvcc, view, key=b"a", range_end=b"z", limit=2, **more).count == 4
    for first in (b"a\x00", b"b\x00", b"c\x00", b"d\x00"):
        assert mvcc.page_counts.find(Rest(revision, first, b"z")) is None


def test_a_page_at_an_old_revision_costs_what_it_returns(replica: LocalReplica) -> None:
    """Issue 14: 100,000 keys by pages of 500 took 71 s, since each page walked to the end."""
    mvcc = Mvcc(replica.store)
    for begin in range(0, 20_000, 500):
        write(replica, mvcc, [b"k/%06d" % it for it in range(begin, begin + 500)], [])
    view = replica.store.view
    revision = mvcc.revision(view)
    first = answered(mvcc, view, key=b"k/", range_end=b"k0", limit=100)
    write(replica, mvcc, [b"k/000000"], [])
    answers: list[pb.RangeResponse] = []

    def page() -> None:
        after = first.kvs[-1].key + b"\x00"
        fields = {"key": after, "range_end": b"k0", "limit": 100, "revision": revision}
        answers.append(answered(mvcc, view, **fields))

    assert steps_of(page) < 15_000
    (second,) = answers
    assert (first.count, second.count, len(second.kvs)) == (20_000, 19_900, 100)


def test_the_oldest_are_forgotten_and_long_keys_not_noted() -> None:
    counts = PageCounts()
    for number in range(NOTED_COUNT_MAX + 1):
        counts.note(Rest(1, b"%d" % number, None), number)
    assert counts.find(Rest(1, b"0", None)) is None
    assert counts.find(Rest(1, b"1", None)) == 1
    counts.note(Rest(1, bytes(KEY_BYTES_MAX + 1), None), 7)
    assert counts.find(Rest(1, bytes(KEY_BYTES_MAX + 1), None)) is None
    assert counts.find(Rest(1, b"1", None)) == 1, "nobody made room for it"
