"""The log over storage that may be compacted at any time, page by page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.raft import Entry, EntryKind
from roost.raft.log import Log
from roost.sim.cores.storage import MemoryStorage


def entry(index: int, term: int, payload: bytes = b"") -> Entry:
    return Entry(index, term, EntryKind.NORMAL, payload)


def log_of(stored: list[Entry], *, applied: int = 0, cache_bytes_max: int = 1000) -> Log:
    storage = MemoryStorage(list(stored))
    return Log(storage, applied_index=applied, cache_bytes_max=cache_bytes_max)


def test_a_compacted_position_is_a_normal_answer() -> None:
    """Checklist 10: unknown below the floor, known at it."""
    storage = MemoryStorage([entry(it, 1) for it in range(1, 6)])
    log = Log(storage, applied_index=5, cache_bytes_max=10)
    storage.drop_to(3)
    assert log.term_at(2) is None
    assert log.term_at(3) == 1
    assert log.term_at(6) is None
    assert log.conflict_hint(2, 1) == (2, 0)


def test_the_tail_wins_over_what_storage_still_holds() -> None:
    """Checklist 55: the tail may begin below the storage's end after a truncation."""
    log = log_of([entry(1, 1), entry(2, 1), entry(3, 1)])
    log.append_after(1, [entry(2, 2, b"new")])
    assert (log.last_index, log.last_term) == (2, 2)
    assert log.term_at(2) == 2
    assert log.term_at(3) is None
    assert log.slice(1, 100) == (entry(1, 1),)
    assert log.slice(2, 100) == (entry(2, 2, b"new"),)


def test_what_is_handed_out_is_handed_out_once_and_again_after_a_cut() -> None:
    """Checklist 57, 59: the mark of what the disk was given is pulled back to the cut."""
    log = log_of([entry(1, 1)])
    log.append_after(1, [entry(2, 1), entry(3, 1)])
    assert [it.index for it in log.take_entries()] == [2, 3]
    log.note_outstanding(has_entries=True)
    assert log.take_entries() == []
    log.append_after(2, [entry(3, 2)])
    assert [(it.index, it.term) for it in log.take_entries()] == [(3, 2)]
    log.note_outstanding(has_entries=True)
    assert log.note_persisted()
    assert log.durable_index == 2, "the first write vouches for nothing that was cut"
    assert log.note_persisted()
    assert log.durable_index == 3


def test_committed_entries_that_there_is_no_memory_to_read_are_handed_out_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def starve(*_: object) -> tuple[Entry, ...]:
        raise MemoryError

    log = log_of([entry(1, 1), entry(2, 1)])
    log.commit_to(2)
    with monkeypatch.context() as patch:
        patch.setattr(MemoryStorage, "entries", starve)
        assert log.take_committed(1000, 1000) == ()
    log.invariants()
    assert log.take_committed(1000, 1000) == (entry(1, 1), entry(2, 1))


def test_what_is_committed_is_never_cut() -> None:
    """Thesis Figure 3.2: it is "in the logs of the leaders for all higher-numbered terms".

    So none of them asks for that.  Checklist 58, 67.
    """
    log = log_of([entry(1, 1), entry(2, 1)], applied=1)
    log.commit_to(2)
    with pytest.raises(AssertionError, match="never truncated"):
        log.append_after(1, [entry(2, 2)])


def test_a_snapshot_of_what_is_committed_is_a_mistake_of_the_driver() -> None:
    """It would take back what may have been applied.

    Checklist 60, 104.
    """
    log = log_of([entry(1, 1), entry(2, 1)], applied=2)
    with pytest.raises(AssertionError, match="takes anything committed back"):
        log.restore(2, 1)


def test_what_was_handed_out_is_not_changed_by_a_cut() -> None:
    """The disk may still be writing it.

    Checklist 22, 63.
    """
    log = log_of([])
    log.append_after(0, [entry(1, 1, b"a"), entry(2, 1, b"b")])
    handed, page = log.take_entries(), log.slice(1, 100)
    log.append_after(0, [entry(1, 2, b"z")])
    assert [it.payload for it in handed] == [b"a", b"b"]
    assert [it.payload for it in page] == [b"a", b"b"]


@given(
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=12),
    stored=st.integers(0, 12),
    first=st.integers(1, 13),
    bytes_max=st.integers(1, 60),
)
def test_a_slice_keeps_to_its_bytes_but_has_at_least_one(
    sizes: list[int], stored: int, first: int, bytes_max: int
) -> None:
    """An entry larger than a page would never move else.

    Checklist 61.
    """
    entries = [entry(place + 1, 1, bytes(size)) for place, size in enumerate(sizes)]
    log = log_of(entries[:stored])
    for later in entries[stored:]:
        log.append(later)
    page = log.slice(first, bytes_max)
    assert list(page) == entries[first - 1 : first - 1 + len(page)]
    assert bool(page) == (first <= len(entries))
    assert len(page) <= 1 or sum(len(it.payload) for it in page) <= bytes_max


@given(sizes=st.lists(st.integers(0, 20), min_size=1, max_size=10), room=st.integers(1, 30))
def test_pages_of_committed_entries_skip_none(sizes: list[int], room: int) -> None:
    """Checklist 61, 139: how much is handed out says nothing about what is committed."""
    entries = [entry(place + 1, 1, bytes(size)) for place, size in enumerate(sizes)]
    log = log_of(entries)
    log.commit_to(len(entries))
    seen: list[Entry] = []
    while page := log.take_committed(room, 100):
        seen += page
        assert log.commit_index == len(entries)
    assert seen == entries


def test_no_more_is_handed_out_than_may_wait_to_be_applied() -> None:
    """Issue 14: who came back to a hundred thousand small entries read all of them in one step."""
    log = log_of([entry(it, 1) for it in range(1, 11)])
    log.commit_to(10)
    assert [it.index for it in log.take_committed(1 << 20, 4)] == [1, 2, 3, 4]
    assert log.take_committed(1 << 20, 4) == ()
    log.applied_to(3)
    assert [it.index for it in log.take_committed(1 << 20, 4)] == [5, 6, 7]


def test_a_hint_is_found_without_a_walk_along_the_log() -> None:
    """One rejection could make a leader look at each of its entries in turn."""

    class Counting(MemoryStorage):
        looked = 0

        def term_at(self, index: int) -> int | None:
            self.looked += 1
            return super().term_at(index)

    terms = [2] * 5000 + [3] * 5000 + [5] * 5000
    entries = [Entry(at, term, EntryKind.NORMAL, b"") for at, term in enumerate(terms, 8)]
    storage = Counting(entries, floor_index=7, floor_term=2)
    log = Log(storage, applied_index=7, cache_bytes_max=1)
    for index, term, hint in [
        (20_000, 5, (15_007, 5)),
        (20_000, 4, (10_007, 3)),
        (20_000, 2, (5007, 2)),
        (20_000, 1, (6, 0)),
        (7, 2, (7, 2)),
        (3, 9, (3, 0)),
    ]:
        storage.looked = 0
        assert log.conflict_hint(index, term) == hint
        assert storage.looked < 40


@given(st.lists(st.tuples(st.integers(1, 9), st.lists(st.binary(max_size=40), max_size=4))))
def test_what_the_entries_in_memory_take_is_known(
    appends: list[tuple[int, list[bytes]]],
) -> None:
    """Also after the log was cut and written anew; memory's metrics ask it."""
    log = log_of([])
    assert log.cached_bytes == 0
    held: list[Entry] = []
    for term, (after, payloads) in enumerate(appends, 1):
        begin = min(after, len(held))
        new = [entry(begin + number, term, it) for number, it in enumerate(payloads, 1)]
        log.append_after(begin, new)
        held = held[:begin] + new if new else held
        assert log.cached_bytes == sum(len(it.payload) for it in held)
