"""Leases and the keys that have them, against a dict."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.errors import Refused
from roost.etcd.model import leases
from roost.etcd.model.costs import INLINE_ROWS_MAX, at_once
from roost.etcd.model.leases import Lease, id_of, keys_of, name_of, revoke
from roost.etcd.model.mvcc import Mvcc, Writer
from tests.etcd.replica import LocalReplica
from tests.steps import slices_of

# The ends of an int64, and neighbours.
IDS = [1, 2, 255, 256, (1 << 63) - 1, -(1 << 63), -2, -1]
KEYS = [b"", b"\0", b"a", b"ab", b"b", b"\xff\xff"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "delete", "revoke"]),
        st.sampled_from(KEYS),
        st.sampled_from([0, *IDS]),
    ),
    max_size=25,
)


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_an_id_is_read_as_it_was_written(lease_id: int) -> None:
    assert id_of(name_of(lease_id)) == lease_id


@settings(max_examples=100)
@given(STEPS)
def test_a_lease_has_the_keys_that_were_last_put_with_it_and_takes_them_along(
    shared: LocalReplica, steps: list[tuple[str, bytes, int]]
) -> None:
    mvcc, txn = Mvcc(shared.store), shared.store.begin()
    held: dict[bytes, int] = {}  # lease by key
    for lease_id in IDS:
        leases.put(mvcc, txn, name_of(lease_id), Lease(60, 0))
    for what, key, lease_id in steps:
        writer = Writer(mvcc, txn)
        old = txn.get(mvcc.kv, key)
        if what == "put":
            writer.put(key, b"", lease_id, old)
            held[key] = lease_id
        elif what == "delete" and old is not None:
            writer.delete(key, old)
            del held[key]
        elif what == "revoke" and lease_id:
            revoke(mvcc, txn, name_of(lease_id))
            held = {it: other for it, other in held.items() if other != lease_id}
            leases.put(mvcc, txn, name_of(lease_id), Lease(60, 0))
        assert writer.revision <= writer.begin_revision + 1, "all goes at one revision"
        for each in IDS:
            wanted = sorted(it for it, other in held.items() if other == each)
            found = keys_of(mvcc, txn, name_of(each)).take(100)
            assert [row[8:] for row, _ in found] == wanted
        assert [it for it, _ in txn.iterate(mvcc.kv)] == sorted(held)


def test_a_lease_is_written_with_what_is_left_of_it(shared: LocalReplica) -> None:
    mvcc, txn = Mvcc(shared.store), shared.store.begin()
    leases.put(mvcc, txn, name_of(7), Lease(60, 12))
    assert leases.get(mvcc, txn, name_of(7)) == Lease(60, 12)
    assert leases.get(mvcc, txn, name_of(8)) is None


def test_no_lease_has_more_left_than_it_was_granted(shared: LocalReplica) -> None:
    mvcc, txn = Mvcc(shared.store), shared.store.begin()
    with pytest.raises(AssertionError):
        leases.put(mvcc, txn, name_of(7), Lease(60, 61))


def test_a_lease_that_is_not_there_is_refused(shared: LocalReplica) -> None:
    mvcc, txn = Mvcc(shared.store), shared.store.begin()
    with pytest.raises(Refused):
        leases.check_exists(mvcc, txn, 7)
    with pytest.raises(Refused):
        revoke(mvcc, txn, name_of(7))


def test_whoever_looks_for_the_first_key_passes_those_that_are_gone_in_steps() -> None:
    """Issue 14: before it lie all that were just deleted, and they were passed in one."""
    replica = LocalReplica()
    mvcc, txn = Mvcc(replica.store), replica.store.begin()
    for number in range(20_000):
        txn.put(mvcc.lease_keys, name_of(7) + b"%06d" % number, b"")
    for number in range(19_999):
        txn.delete(mvcc.lease_keys, name_of(7) + b"%06d" % number)

    last = b"%06d" % 19_999
    costs = list(leases.first_key(mvcc, txn, name_of(7), b""))
    assert len(costs) > 30
    assert max(costs) <= 2 * INLINE_ROWS_MAX
    assert at_once(leases.first_key(mvcc, txn, name_of(7), last + b"\0")) is None
    counts, found = slices_of(leases.first_key(mvcc, txn, name_of(7), b""))
    assert found == last
    assert max(counts) < 12_000
    replica.close()
