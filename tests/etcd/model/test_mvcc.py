"""Keys at every revision, against a list of dicts; and the order that escaped keys keep."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.errors import Refused
from roost.etcd import errors
from roost.etcd.model.mvcc import Mvcc, escape, main_of, raise_revision, revision_bytes
from tests.etcd.model.histories import KEYS, TRANSACTIONS, History, Write
from tests.etcd.replica import LocalReplica

# Zeros, ones and 0xff are what an escaped key is made of.
AWKWARD = st.lists(st.sampled_from([0, 1, 2, 0xFE, 0xFF]), max_size=5).map(bytes)
ENDS = st.one_of(st.none(), st.sampled_from(KEYS))


@given(AWKWARD, AWKWARD, AWKWARD, AWKWARD)
def test_an_escaped_key_keeps_its_order_whatever_follows(
    one: bytes, other: bytes, behind_one: bytes, behind_other: bytes
) -> None:
    if one != other:
        escaped = escape(one) + behind_one, escape(other) + behind_other
        assert (escaped[0] < escaped[1]) is (one < other)


@given(st.integers(1, 1 << 62), st.integers(0, 1 << 32), st.integers(1, 1 << 62))
def test_revisions_stand_in_keys_in_their_order(main: int, sub: int, other: int) -> None:
    held = revision_bytes(main, sub)
    assert main_of(held) == main
    assert (held < revision_bytes(other, 0)) is (main < other)
    assert held < revision_bytes(main, sub + 1)


@settings(max_examples=60)
@given(TRANSACTIONS)
def test_a_key_is_read_at_each_revision_as_it_was_then(
    shared: LocalReplica, transactions: list[list[Write]]
) -> None:
    history = History(Mvcc(shared.store), shared.store.begin())
    history.write(transactions)
    assert history.mvcc.revision(history.txn) == history.revision
    assert history.mvcc.key_count(history.txn) == len(history.states[-1])
    for revision in range(1, history.revision + 1):
        assert history.told_at(revision) == history.states[revision]


@settings(max_examples=60)
@given(TRANSACTIONS, st.sampled_from(KEYS), ENDS)
def test_a_range_is_read_at_each_revision_in_the_order_of_its_keys(
    shared: LocalReplica, transactions: list[list[Write]], first: bytes, stop: bytes | None
) -> None:
    history = History(Mvcc(shared.store), shared.store.begin())
    history.write(transactions)
    for revision in range(1, history.revision + 1):
        wanted = [it for it in sorted(history.states[revision]) if it >= first]
        if stop is not None:
            wanted = [it for it in wanted if it < stop]
        assert history.range_at(first, stop, revision) == wanted


def test_a_restored_store_gives_no_revision_twice_and_forgets_all_before(
    shared: LocalReplica,
) -> None:
    history = History(Mvcc(shared.store), shared.store.begin())
    history.write([[(b"a", True)], [(b"a", True)]])
    mvcc, txn = history.mvcc, history.txn
    raise_revision(txn, 1000)
    assert mvcc.revision(txn) == 1003
    assert mvcc.key_count(txn) == 1
    with pytest.raises(Refused) as refused:
        mvcc.check_revision(txn, 3, 1003)
    assert str(refused.value) == str(errors.compacted())


def test_no_revision_is_raised_past_what_leaves_room_to_write(shared: LocalReplica) -> None:
    with pytest.raises(Refused):
        raise_revision(shared.store.begin(), 1 << 62)
