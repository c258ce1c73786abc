"""History: a thousand events at least, more while they are small, and a bound on all."""

import pytest
from msgspec.structs import replace

from roost.etcd.v2 import history, nodes
from roost.etcd.v2.values import Action, Event, Flags, Node, Now
from roost.store import Txn
from tests.etcd.replica import LocalReplica


@pytest.fixture
def begun(shared: LocalReplica) -> tuple[nodes.Trees, Txn]:
    return nodes.trees_of(shared.store), shared.store.begin()


def event(index: int, size: int = 10) -> Event:
    return Event(index, Action.SET, Flags.NONE, b"/a", 0, Node(False, 1, 1, 0, b"x" * size))


def test_an_event_is_read_as_it_was_written(begun: tuple[nodes.Trees, Txn]) -> None:
    trees, txn = begun
    assert history.now(trees, txn) == Now()
    gone = Node(is_dir=True, created=1, modified=2, expires_ns=0, value=b"")
    old = replace(gone, modified=1, expires_ns=7)
    for index, before in enumerate((None, old, Node(False, 1, 1, 0, b"")), 1):
        written = Event(
            index, Action.EXPIRE, Flags.DIRECTORY_GONE, b"/a\0/\xff", 1 << 63, gone, before
        )
        history.add(trees, txn, written, history.now(trees, txn))
        key, row = txn.scan(trees.events)[-1]
        assert history.decode(key, row) == written
        assert history.now(trees, txn).index == index


def kept(trees: nodes.Trees, txn: Txn) -> list[int]:
    found = [int.from_bytes(key, "big") for key, _ in txn.scan(trees.events)]
    now = history.now(trees, txn)
    assert found == list(range(now.first, now.index + 1))
    assert now.events_bytes == sum(len(row) for _, row in txn.scan(trees.events))
    return found


def test_small_events_are_kept_beyond_a_thousand(
    begun: tuple[nodes.Trees, Txn], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "COUNT_MIN", 10)
    monkeypatch.setattr(history, "BYTES_MIN", 1000)
    trees, txn = begun
    for index in range(1, 200):
        history.add(trees, txn, event(index), history.now(trees, txn))
    found = kept(trees, txn)
    assert found[-1] == 199
    assert 10 < len(found) < 100
    assert history.now(trees, txn).events_bytes <= 1000


def test_large_events_are_kept_as_far_as_the_count(
    begun: tuple[nodes.Trees, Txn], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "COUNT_MIN", 10)
    monkeypatch.setattr(history, "BYTES_MIN", 1000)
    trees, txn = begun
    for index in range(1, 50):
        history.add(trees, txn, event(index, 500), history.now(trees, txn))
    assert kept(trees, txn) == list(range(40, 50))


def test_there_is_an_end_to_what_the_history_takes(
    begun: tuple[nodes.Trees, Txn], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "COUNT_MIN", 10)
    monkeypatch.setattr(history, "BYTES_MIN", 100)
    monkeypatch.setattr(history, "BYTES_MAX", 3000)
    trees, txn = begun
    for index in range(1, 50):
        history.add(trees, txn, event(index, 500), history.now(trees, txn))
    assert kept(trees, txn) == list(range(45, 50))
    history.add(trees, txn, event(50, 9000), history.now(trees, txn))
    assert kept(trees, txn) == [50]


def test_a_change_drops_no_more_than_a_few(
    begun: tuple[nodes.Trees, Txn], monkeypatch: pytest.MonkeyPatch
) -> None:
    trees, txn = begun
    for index in range(1, 101):
        history.add(trees, txn, event(index), history.now(trees, txn))
    monkeypatch.setattr(history, "COUNT_MIN", 10)
    monkeypatch.setattr(history, "BYTES_MIN", 100)
    history.add(trees, txn, event(101), history.now(trees, txn))
    assert len(kept(trees, txn)) == 101 - history.DROPPED_MAX


def test_a_restored_store_goes_on_later_and_has_forgotten_what_was(
    begun: tuple[nodes.Trees, Txn],
) -> None:
    trees, txn = begun
    history.raise_index(txn, 1000)
    assert history.now(trees, txn) == Now()
    for index in range(1, 6):
        history.add(trees, txn, event(index), history.now(trees, txn))
    history.raise_index(txn, 1000)
    assert history.now(trees, txn) == Now(index=1005, first=1006, events_bytes=0)
    history.add(trees, txn, event(1006), history.now(trees, txn))
    assert kept(trees, txn) == [1006]
