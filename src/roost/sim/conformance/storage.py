"""What must hold of a `raft.log.Storage`, and of how whoever owns it writes it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from roost.raft import Entry, EntryKind
from roost.raft.log import Storage

LARGE = 1 << 30


class WritableStorage(Storage, Protocol):
    """A storage, and what its owner does with it."""

    def write(self, entries: Sequence[Entry]) -> None:
        """Put entries in their places, durably, instead of whatever was there and behind."""

    def drop_to(self, index: int) -> None:
        """Forget what is not needed up to `index`; less may be forgotten."""

    def begin_behind(self, index: int, term: int) -> None:
        """Forget everything; the next entry follows `index`, which is of `term`."""


StorageCheck = Callable[[WritableStorage], None]


def _entries(first: int, last: int, term: int = 1, size: int = 10) -> list[Entry]:
    return [
        Entry(index, term, EntryKind.NORMAL, b"%d of %d" % (index, term) + bytes(size))
        for index in range(first, last + 1)
    ]


def an_empty_log_stands_behind_its_beginning(log: WritableStorage) -> None:
    """The first entry is 1, and what stands before it has a term."""
    assert (log.first_index, log.last_index) == (1, 0)
    assert log.term_at(0) == 0
    assert log.term_at(1) is None
    assert log.first_damaged == 0
    assert log.changes_after(0) == []


def what_is_written_is_read(log: WritableStorage) -> None:
    """Every part of an entry."""
    written = [
        Entry(1, 1, EntryKind.EMPTY, b""),
        Entry(2, 1, EntryKind.NORMAL, b"two"),
        Entry(3, 4, EntryKind.CONFIGURATION, b"three"),
    ]
    log.write(written)
    assert (log.first_index, log.last_index) == (1, 3)
    assert list(log.entries(1, 4, LARGE)) == written
    assert [log.term_at(index) for index in range(5)] == [0, 1, 1, 4, None]


def a_read_stops_before_its_end(log: WritableStorage) -> None:
    """By position."""
    log.write(_entries(1, 9))
    assert [it.index for it in log.entries(3, 6, LARGE)] == [3, 4, 5]


def a_read_stops_at_its_size_but_has_one_entry(log: WritableStorage) -> None:
    """Else an entry that is larger than a message would never be sent."""
    log.write(_entries(1, 9, size=1000))
    assert [it.index for it in log.entries(2, 9, 1)] == [2]
    some = [it.index for it in log.entries(2, 9, 3500)]
    assert some == list(range(2, 2 + len(some)))
    assert 1 <= len(some) <= 3


def a_write_replaces_what_stood_behind(log: WritableStorage) -> None:
    """A new leader's entries replace what was never committed."""
    log.write(_entries(1, 9))
    log.write(_entries(4, 5, term=2))
    assert log.last_index == 5
    assert [it.term for it in log.entries(1, 6, LARGE)] == [1, 1, 1, 2, 2]
    assert log.term_at(6) is None


def changes_are_known_in_order(log: WritableStorage) -> None:
    """Those that are still there."""
    kinds = [EntryKind.CONFIGURATION if it in (2, 5, 8) else EntryKind.NORMAL for it in range(10)]
    log.write([Entry(it, 1, kinds[it], b"x") for it in range(1, 10)])
    assert log.changes_after(0) == [2, 5, 8]
    assert log.changes_after(5) == [8]
    log.write(_entries(5, 6, term=2))
    assert log.changes_after(0) == [2]


def a_dropped_beginning_leaves_its_term(log: WritableStorage) -> None:
    """Whoever is behind is asked about the entry before the first."""
    for first in range(1, 200, 20):
        log.write(_entries(first, first + 19, size=1000))
    log.drop_to(150)
    first = log.first_index
    assert 1 <= first <= 151
    assert log.term_at(first - 1) == (1 if first > 1 else 0)
    if first > 1:
        assert log.term_at(first - 2) is None
    assert log.last_index == 200
    assert log.entries(first, first + 1, LARGE)[0].index == first


def behind_a_snapshot_is_a_new_beginning(log: WritableStorage) -> None:
    """Nothing of before is left."""
    log.write(_entries(1, 9))
    log.begin_behind(100, 7)
    assert (log.first_index, log.last_index) == (101, 100)
    assert log.term_at(100) == 7
    assert log.term_at(9) is None
    log.write(_entries(101, 102, term=8))
    assert [it.term for it in log.entries(101, 103, LARGE)] == [8, 8]


STORAGE: tuple[StorageCheck, ...] = (
    an_empty_log_stands_behind_its_beginning,
    what_is_written_is_read,
    a_read_stops_before_its_end,
    a_read_stops_at_its_size_but_has_one_entry,
    a_write_replaces_what_stood_behind,
    changes_are_known_in_order,
    a_dropped_beginning_leaves_its_term,
    behind_a_snapshot_is_a_new_beginning,
)
