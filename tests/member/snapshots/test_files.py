"""What can be asked about files: increments entry by entry, and refusals where there is a gap."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.member.errors import HistoryTrimmed, OtherHistory, SnapshotFailed, StoreReplaced
from roost.member.snapshots import files as files_module
from roost.member.snapshots.files import Files, decode_entries
from roost.outcome import ReadDone
from roost.raft import Entry, EntryKind
from roost.raft.log import Log
from roost.sim.cores.storage import MemoryStorage
from roost.sim.members.loop import run_virtually

TERM = 3
PAYLOADS = st.lists(st.binary(max_size=40), max_size=30)


class Member:
    """One member around its `Files`; it plays core, home, store and snapshots."""

    def __init__(self, payloads: list[bytes]) -> None:
        kinds = (EntryKind.NORMAL, EntryKind.CONFIGURATION, EntryKind.EMPTY)
        self.entries = [
            Entry(number, TERM, kinds[number % 3], payload)
            for number, payload in enumerate(payloads, 1)
        ]
        self.storage = MemoryStorage(list(self.entries))
        self.applied_index = len(self.entries)
        self.log = Log(self.storage, applied_index=self.applied_index, cache_bytes_max=1 << 20)
        self.said: list[object] = []
        self.spawned: list[object] = []
        self.lent_from: list[int] = []
        self.on_left: Callable[[Path], None] | None = None
        self.on_durable: Callable[[], None] | None = None
        self.done: ReadDone | None = None
        this: Any = self
        self.store = self.copies = self
        self.files = Files(this, this, this)

    def durable_digest(self) -> bytes:
        return b"digest"

    def make_durable(self, on_durable: Callable[[], None]) -> None:
        self.on_durable = on_durable

    def defragment(self, done: ReadDone, *, on_left: Callable[[Path], None]) -> None:
        self.done, self.on_left = done, on_left

    def remove(self, directory: Path) -> object:
        return ("remove", directory)

    def spawn(self, work: object) -> None:
        self.spawned.append(work)

    def lend(self, index: int) -> object:
        self.lent_from.append(index)
        return "lent"

    async def pages(self, index: int, term: int) -> list[bytes]:
        return [page async for page in self.files.entries_since(index, term)]

    def since(self, index: int, term: int = TERM) -> list[Entry]:
        """All entries that are told behind a position."""
        pages = run_virtually(self.pages(index, term))
        return [entry for page in pages for entry in decode_entries(page)]


@given(PAYLOADS, st.integers(0, 30), st.sampled_from([1, 50, 1 << 20]))
def test_an_increment_is_what_follows_a_position_in_pages(
    payloads: list[bytes], index: int, page_bytes: int
) -> None:
    member = Member(payloads)
    index = min(index, member.applied_index)
    term = TERM if index else 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files_module, "_PAGE_BYTES", page_bytes)
        assert member.since(index, term) == member.entries[index:]
        for page in run_virtually(member.pages(index, term)):
            entries = decode_entries(page)
            size = sum(len(entry.payload) for entry in entries)
            assert size <= page_bytes or len(entries) == 1


@given(PAYLOADS)
def test_a_page_that_was_cut_is_no_page_of_fewer_entries(payloads: list[bytes]) -> None:
    """Where an entry ends it cannot be told; whoever keeps a page keeps its length and sum."""
    member = Member(payloads)
    blob = b"".join(run_virtually(member.pages(0, 0)))
    ends = {0}
    for entry in member.entries:
        ends.add(max(ends) + files_module.ENTRY_HEAD.size + len(entry.payload))
    for cut in range(len(blob)):
        if cut in ends:
            assert len(decode_entries(blob[:cut])) == sorted(ends).index(cut)
        else:
            with pytest.raises(ValueError, match="ends early"):
                decode_entries(blob[:cut])


@given(st.binary(max_size=100))
def test_any_bytes_are_entries_or_a_wrong_value(blob: bytes) -> None:
    try:
        entries = decode_entries(blob)
    except ValueError:
        return
    assert b"".join(map(files_module._encode, entries)) == blob


def test_a_kind_that_nobody_knows_is_refused() -> None:
    head = files_module.ENTRY_HEAD.pack(1, 1, len(EntryKind), 0)
    with pytest.raises(ValueError, match="kind"):
        decode_entries(head)


@pytest.mark.parametrize(
    ("index", "term"), [(6, TERM), (3, TERM + 1), (3, TERM - 1)], ids=["later", "newer", "older"]
)
def test_a_position_of_another_history_is_refused(index: int, term: int) -> None:
    """A backup of a cluster that lost its majority and went on elsewhere, for one."""
    with pytest.raises(OtherHistory):
        Member([b"x"] * 5).since(index, term)


def test_what_is_not_applied_is_not_told() -> None:
    """It may not be committed, and a backup must not hold what never was."""
    member = Member([b"x"] * 5)
    member.applied_index = 4
    assert member.since(2) == member.entries[2:4]
    with pytest.raises(OtherHistory):
        member.since(5)


def test_what_is_applied_while_it_is_told_waits_for_the_next_increment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The end is the position that was asked for: a busy member would never come to one."""
    monkeypatch.setattr(files_module, "_PAGE_BYTES", 1)
    member = Member([b"x"] * 5)
    member.applied_index = 3

    async def story() -> list[Entry]:
        found = []
        async for page in member.files.entries_since(0, 0):
            member.applied_index = 5
            found += decode_entries(page)
        return found

    assert run_virtually(story()) == member.entries[:3]


def test_what_the_journal_has_no_more_is_said_before_and_on_the_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files_module, "_PAGE_BYTES", 1)
    member = Member([b"x"] * 5)

    async def story() -> None:
        told = member.files.entries_since(0, 0)
        assert decode_entries(await anext(told)) == member.entries[:1]
        member.storage.drop_to(3)
        with pytest.raises(HistoryTrimmed, match="begins at 4"):
            await anext(told)

    run_virtually(story())
    with pytest.raises(HistoryTrimmed):
        member.since(1)
    assert member.since(3) == member.entries[3:]


def test_an_entry_that_is_damaged_is_a_gap_that_is_said() -> None:
    member = Member([b"x"] * 5)
    member.storage.damaged.add(3)
    with pytest.raises(SnapshotFailed, match="entry 3"):
        member.since(0, 0)
    assert member.since(3) == member.entries[3:]


def test_what_a_defragmentation_left_is_removed_beside_the_loop() -> None:
    member = Member([])
    said: list[object] = []
    member.files.defragment(said.append)
    assert member.on_left is not None
    assert member.done is not None
    member.on_left(Path("/old"))
    assert member.spawned == [("remove", Path("/old"))]
    error = StoreReplaced("by a snapshot")
    member.done(error)
    assert said == [error]


def test_a_copy_has_all_that_is_applied_now_and_the_digest_is_of_what_is_durable() -> None:
    member = Member([b"x"] * 5)
    said: list[object] = []
    member.applied_index = 4
    lent: Any = member.files.lend_snapshot()
    assert (lent, member.lent_from) == ("lent", [4])
    assert member.files.state_digest() == b"digest"
    member.files.make_durable(said.append)
    assert said == []
    assert member.on_durable is not None
    member.on_durable()
    assert said == [None]
