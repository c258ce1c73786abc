"""Observers, held against a list of all that ever changed: nothing twice, nothing in silence."""

import asyncio
import uuid
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.database import UNKNOWN, Limits, observing, past
from roost.database.changes import Annotation, Change, Overrun, Wanted
from roost.database.events import Event, ObserverOverrun
from roost.database.observing import Observer, Observing
from roost.database.rows import TxnRows
from roost.database.transaction import Transaction
from roost.errors import Overloaded
from roost.raft import Entry, EntryKind
from roost.store import InlineKeeper, Store, StoreConfig, View
from tests.samples import SAMPLES

TREES = ("a", "b", "c")
ALL_KEYS = [b"k", b"k1", b"k2", b"m", b"m1", b"z"]
KEYS = st.sampled_from(ALL_KEYS)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(TREES), KEYS, KEYS),
        st.tuples(st.just("delete"), st.sampled_from(TREES), KEYS, st.just(b"")),
        st.tuples(st.just("range"), st.sampled_from(TREES), KEYS, KEYS),
        st.tuples(st.just("note"), st.just(""), KEYS, st.just(b"")),
    ),
    max_size=6,
)
WANTED = st.sampled_from([(None, None), ("a", None), ("a", b"k"), ("c", None)])
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.lists(STEPS, min_size=1, max_size=3), st.booleans()),
        st.tuples(
            st.just("bulk"), st.sampled_from(TREES), st.sampled_from(["put", "delete", "range"])
        ),
        st.tuples(st.just("observe"), WANTED, st.none() | st.integers(0, 12)),
        st.tuples(st.just("take"), st.integers(0, 3), st.just(0)),
        st.tuples(
            st.sampled_from(["turn", "flush", "lose", "trim", "end"]), st.just(0), st.just(0)
        ),
    ),
    max_size=30,
)
Step = tuple[str, str, bytes, bytes]


class Lonely:
    """As much of a member as observers see: a store, and a log."""

    def __init__(self, path: Path) -> None:
        self.store = Store.open(config=StoreConfig(), keeper=InlineKeeper(path))
        self.store.bootstrap(lambda _txn: None, guid=uuid.UUID(int=7))
        self.view: View = self.store.view
        self.entries: dict[int, Entry] = {}
        self.told = 0
        self.first_index = self.store.applied_index + 1

    def tell(self, event: Event) -> None:
        assert isinstance(event, ObserverOverrun)
        self.told += 1

    def observe_switch(self, prepare: Callable[[], Callable[[], None]]) -> None:
        self.store.observe_switch(prepare)

    def applied_entries(self, first: int, bytes_max: int) -> tuple[Entry, ...]:
        found: list[Entry] = []
        for index in range(first, self.store.applied_index + 1):
            if found and sum(len(it.payload) for it in found) > bytes_max:
                break
            found.append(self.entries[index])
        return tuple(found)

    def apply(self, payload: bytes) -> int:
        index = self.store.applied_index + 1
        self.entries[index] = Entry(index, 1, EntryKind.NORMAL, payload)
        self.store.apply(index, payload)
        return index


class Story:
    """What happened, and what of it everybody was told."""

    def __init__(self, path: Path) -> None:
        self.member = Lonely(path)
        member: Any = self.member  # it is as much of one as is asked for
        self.hub = Observing(member, check=lambda: None)
        self.state: dict[str, dict[bytes, bytes]] = {tree: {} for tree in TREES}
        # Everything that ever changed; and what of that can be told when it is past.
        self.changes: list[Change[bytes, bytes]] = []
        self.past: list[Change[bytes, bytes]] = []
        self.observers: list[Watcher] = []

    def write(self, operations: list[list[Step]], *, is_led: bool) -> None:
        index, txn = self.member.store.applied_index + 1, self.member.store.begin()
        for steps in operations:
            rows = TxnRows(txn, Limits())
            self._operation(index, Transaction(rows), steps)
            rows.finish()
        payload = txn.encode()
        if is_led:
            self.member.store.speculate(index, txn, payload)
        assert self.member.apply(payload) == index

    def _operation(self, index: int, txn: Transaction, steps: list[Step]) -> None:
        said = tuple(Annotation(300, key) for step, _, key, _ in steps if step == "note")
        live, past = len(self.changes), len(self.past)
        for step, tree, key, value in steps:
            if step == "note":
                txn.annotate(300, key)
                continue
            held, rows = self.state[tree], txn.tree(tree)
            gone: list[bytes] = []
            match step:
                case "put":
                    rows[key] = value
                    self.changes.append(Change(index, tree, key, value, held.get(key), said))
                    self.past.append(Change(index, tree, key, value, UNKNOWN, said))
                    held[key] = value
                case "delete":
                    # A tree that was never written has nothing to delete.
                    is_there = any(it.tree == tree for it in self.past)
                    rows.discard(key)
                    gone = [key] if key in held else []
                    # Whether it was there is not known any more.
                    if is_there:
                        self.past.append(Change(index, tree, key, None, UNKNOWN, said))
                case _:
                    rows.delete_range(first=key, stop=value)
                    gone = sorted(it for it in held if key <= it < value)
            self.changes += [Change(index, tree, it, None, held[it], said) for it in gone]
            for it in gone:
                del held[it]
        for told, begin in ((self.changes, live), (self.past, past)):
            if said and len(told) == begin:
                told.append(Change(index, "", b"", None, None, said))

    def observe(self, tree: str | None, prefix: bytes | None, since: int | None) -> None:
        wanted = Wanted(tree, bytes, bytes, prefix)
        begin = self.member.store.applied_index if since is None else since
        self.observers.append(Watcher(self, self.hub.observe(wanted, since), wanted, begin))


class Watcher:
    """One observer, judged: between two Overruns nothing is missing."""

    def __init__(self, story: Story, observer: Observer, wanted: Wanted[Any, Any], begin: int):
        self.story, self.observer, self.wanted = story, observer, wanted
        # The entry that is being told, and what of it is still to come.
        self.index = begin
        self.rest: list[Change[bytes, bytes]] = []

    def expected(self, index: int, *, is_past: bool) -> list[Change[bytes, bytes]]:
        """What of an entry is to be told."""
        told = self.story.past if is_past else self.story.changes
        return [
            it
            for it in told
            if it.index == index
            and self.wanted.tree in (None, it.tree)
            and self.wanted.covers(it.key)
        ]

    def go_to(self, index: int) -> None:
        """Nothing is missing before the entry at `index`."""
        assert not self.rest, f"{self.rest} were not told"
        for left_out in range(self.index + 1, index):
            assert not self.expected(left_out, is_past=False)
        self.index = index

    def take(self) -> bool:
        """Take what is there, and judge it; whether there was something."""
        had_past = self.observer._past is not None
        page = self.observer.take_nowait()
        is_past = self.observer._past is not None
        for it in page:
            if isinstance(it, Overrun):
                assert it.index >= self.index, "it never goes back"
                self.index, self.rest = it.index, []
                continue
            if it.index != self.index:
                self.go_to(it.index)
                self.rest = self.expected(it.index, is_past=is_past)
            assert self.rest, f"{it} never was"
            assert it == self.rest.pop(0)
        return bool(page) or had_past


async def play(path: Path, acts: list[tuple[str, Any, Any]]) -> None:
    story = Story(path)
    member = story.member
    for act, one, other in acts:
        match act:
            case "write":
                story.write(one, is_led=other)
            case "bulk":
                steps = [("range", one, b"", b"zz")] if other == "range" else [
                    (other, one, key, key) for key in ALL_KEYS
                ]  # fmt: skip
                story.write([steps], is_led=True)
            case "observe" if len(story.observers) < 4:
                story.observe(one[0], one[1], other)
            case "take" if one < len(story.observers):
                story.observers[one].take()
            case "turn":
                story.hub._go_on()
            case "flush":
                member.store.flush()
            case "lose":
                member.store.held_views.lose_all("a test wants it")
            case "trim":
                member.first_index = max(member.first_index, member.store.applied_index - 2)
            case "end" if story.observers:
                story.observers.pop().observer.end()
    for watcher in story.observers:
        while watcher.take() or story.hub._current is not None:
            await asyncio.sleep(0)
        watcher.go_to(member.store.applied_index + 1)
        watcher.observer.end()
    assert member.store.witness is None
    assert not member.store.held_views.count
    member.store.abandon()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that a test comes to."""
    monkeypatch.setattr(observing, "SLICE", 3)
    monkeypatch.setattr(observing, "COUNT_MAX", 14)
    monkeypatch.setattr(observing, "LINE_BYTES_MAX", 300)
    monkeypatch.setattr(observing, "PAGE", 2)
    monkeypatch.setattr(past, "SLICE_BYTES", 50)


@pytest.mark.usefixtures("small")
@settings(max_examples=100 * SAMPLES)
@given(ACTS)
def test_between_two_overruns_nothing_is_missing(acts: list[tuple[str, Any, Any]]) -> None:
    with TemporaryDirectory() as place:
        asyncio.run(play(Path(place), acts))


def test_there_are_so_many_observers_and_one_more_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        story = Story(tmp_path)
        for _ in range(observing.OBSERVERS_MAX):
            story.observe("a", None, None)
        with pytest.raises(Overloaded):
            story.observe("a", None, None)
        story.observers[0].observer.end()
        story.observe("a", None, None)
        story.member.store.abandon()

    asyncio.run(main())


def test_a_page_of_large_changes_has_few() -> None:
    """Issue 14: who takes a page decodes all of it: 256 changes of any size."""
    observer = Observer(None, None, None)  # type: ignore[arg-type]  # it asks neither
    for index in range(1, 21):
        change = Change(index, "a", b"%d" % index, bytes(100_000), None)
        observer.put(change, observing._size_of(change.key, change.value, change.before))
    pages = []
    while page := observer.take_nowait():
        pages.append(len(page))
    assert pages == [3, 3, 3, 3, 3, 3, 2]
    assert observer._bytes == 0
