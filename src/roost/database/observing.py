"""Everybody who observes what one member applies.

    Store.witness -> Observing -> Observer, one a consumer -> whoever iterates

A write set is gone through just before it is applied, while the store shows what was there before.
SLICE differences are taken at once.  Where there are more, the rest is taken in later turns upon a
held view, and write sets that come meanwhile wait in line and are gone through upon the same one,
so there is one held state for all observers.  As long as nobody observes, the store asks nothing.

Full?  An observer keeps COUNT_MAX changes, or BYTES_MAX; who is slower loses what comes, until
everything that was kept is taken: then there is an `Overrun`, and it goes on with what is applied
next.  The line has LINE_BYTES_MAX; beyond that, or where no state can be held, or it was lost, all
who observe have an `Overrun`.  There are OBSERVERS_MAX of them; one more is refused.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from roost.database import declared
from roost.database.changes import Annotation, Change, Overrun, Wanted, annotations_of, names_of
from roost.database.declared import Declared
from roost.database.events import ObserverOverrun
from roost.database.past import Past
from roost.errors import Overloaded, RoostError
from roost.member import Member
from roost.store import (
    CATALOG_ID,
    METADATA_ID,
    PUT,
    Changes,
    Difference,
    Differences,
    HeldView,
    HeldViewLost,
    Records,
    StoreError,
)

OBSERVERS_MAX = 64
COUNT_MAX = 10_000
BYTES_MAX = 8 << 20
LINE_BYTES_MAX = 64 << 20
# About two milliseconds of reading (record 0009).
SLICE = 400
# What is handed over at once.
PAGE = 256
# A page has no more of them once it has so many bytes: who takes it decodes all of it.
PAGE_BYTES = 256 << 10
Raw = Change[bytes, bytes]
Told = Raw | Overrun


class Observer:
    """What one consumer has not taken yet."""

    def __init__(self, hub: "Observing", wanted: Wanted[Any, Any], past: Past | None) -> None:
        """`Observing.observe` makes them."""
        self._hub = hub
        self.wanted = wanted
        self._past = past
        # What is up to here was told, or is lost and was said to be.
        self.after = 0
        self._changes: deque[Raw] = deque()
        self._bytes = 0
        self._is_lost = False
        self._is_over = False
        self._news = asyncio.Event()
        self.error: RoostError | None = None

    def put(self, change: Raw, size: int) -> None:
        """Another change of `size` bytes."""
        if change.index <= self.after:
            return
        if self._is_lost or len(self._changes) >= COUNT_MAX or self._bytes >= BYTES_MAX:
            self.lose()
            return
        self._changes.append(change)
        self._bytes += size
        self._news.set()

    def lose(self) -> None:
        """Something will not be told."""
        if not self._is_lost:
            self._is_lost = True
            self._hub.tell_lost(self)
        self.wake()

    @property
    def waiting_count(self) -> int:
        """Changes that are kept until they are taken."""
        return len(self._changes)

    def lag_entries(self, applied_index: int) -> int:
        """How far what comes next is behind what is applied; 0 = all was taken."""
        if self._past is not None:
            return max(0, applied_index - self._past.index)
        return applied_index - self._changes[0].index + 1 if self._changes else 0

    def wake(self) -> None:
        """There is news."""
        self._news.set()

    async def take(self) -> list[Told]:
        """What comes next, PAGE of it at most, or a slice of the past; it waits for some.

        There is nothing when it was ended, by another task.

        Raises:
            OtherCodec: the tree was made as something else.
            Closed, MemberEnded: nothing comes any more.
            DeviceFault: the journal cannot be read.

        """
        while not self._is_over:
            self._hub.check()
            if page := self.take_nowait():
                return page
            if self._past is not None:
                await asyncio.sleep(0)
            else:
                self._news.clear()
                await self._news.wait()
        return []

    def take_nowait(self) -> list[Told]:
        """As `take`; nothing when there is nothing yet."""
        if self.error is not None:
            raise self.error
        if self._past is not None:
            if not self._past.is_over:
                return self._past.read()
            self._hub.go_live(self, self._past.index)
            self._past = None
        if self._changes:
            return self._take_page()
        if self._is_lost:
            self._is_lost = False
            self.after = max(self.after, self._hub.told_index)
            return [Overrun(self.after)]
        return []

    def _take_page(self) -> list[Told]:
        changes = self._changes
        page: list[Told] = []
        left = PAGE_BYTES
        while changes and len(page) < PAGE and left > 0:
            change = changes.popleft()
            size = _size_of(change.key, change.value, change.before)
            left -= size
            self._bytes -= size
            page.append(change)
        return page

    def end(self) -> None:
        """Nobody takes any more."""
        self._hub.forget(self)
        self._changes.clear()
        self._is_over = True
        self.wake()


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A write set in line."""

    index: int
    records: Records


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservingFigures:
    """Counts of one member's observers; `lag_entries_most` is that of the slowest."""

    observer_count: int
    waiting_count: int
    lag_entries_most: int
    overrun_count: int


class Observing:
    """All observers of one member; see the module."""

    def __init__(self, member: Member, *, check: Callable[[], None]) -> None:
        """Nobody observes; `check()` raises when nobody can any more."""
        self._member = member
        self._store = member.store
        self.check = check
        # All that there are, and those who are told what is applied now.
        self._observers: list[Observer] = []
        self._live: list[Observer] = []
        self._names: dict[int, str] = {}
        self._of_tree: dict[int, list[Observer]] = {}
        # What is gone through: the index, what comes of it, and upon which view.
        self._index = 0
        self._current: Iterator[Difference | None] | None = None
        self._records: Records | None = None
        # What the last operation said, as it is told.
        self._said: tuple[tuple[int, bytes], ...] = ()
        self._annotations: tuple[Annotation, ...] = ()
        self._view: HeldView | None = None
        self._differences: Differences | None = None
        self._line: deque[_Waiting] = deque()
        self._line_bytes = 0
        self._is_scheduled = False
        self._overrun_count = 0
        member.observe_switch(lambda: self._on_switched)

    def figures(self) -> ObservingFigures:
        """A snapshot."""
        applied_index = self._store.applied_index
        return ObservingFigures(
            observer_count=len(self._observers),
            waiting_count=sum(it.waiting_count for it in self._observers),
            lag_entries_most=max(
                (it.lag_entries(applied_index) for it in self._observers), default=0
            ),
            overrun_count=self._overrun_count,
        )

    @property
    def told_index(self) -> int:
        """Nothing up to here will be told to anybody new."""
        return self._store.applied_index if self._current is None else self._index

    def observe(self, wanted: Wanted[Any, Any], since: int | None) -> Observer:
        """Have somebody told what is applied from now on, or behind `since`.

        Raises:
            NotYourTree, OtherCodec: the tree is another one than is wanted.
            Overloaded: as many observe as can.

        """
        self._check_wanted(wanted)
        if len(self._observers) >= OBSERVERS_MAX:
            raise Overloaded(f"{OBSERVERS_MAX} observers are all there can be")
        past = None if since is None else Past(self._member, wanted, since)
        observer = Observer(self, wanted, past)
        self._observers.append(observer)
        if past is None:
            self.go_live(observer, self._store.applied_index)
        return observer

    def _check_wanted(self, wanted: Wanted[Any, Any]) -> None:
        if wanted.tree is not None:
            wanted.check(declared.find(self._member.view, wanted.tree).declared)

    def go_live(self, observer: Observer, after: int) -> None:
        """Tell `observer` all that is applied behind `after`, which is what is applied now.

        Raises:
            NotYourTree, OtherCodec: as `observe`, of a tree that has come to be meanwhile.

        """
        self._check_wanted(observer.wanted)
        assert after >= self._store.applied_index, "nothing is left out"
        observer.after = after
        names = names_of(self._member.view)
        if (
            self._current is not None
            and not self._of_tree.keys() >= observer.wanted.trees_of(names).keys()
        ):
            # What was gone through on the way to now has left out a tree that counts from now on.
            self._lose()
        self._live.append(observer)
        self._line_up(names)
        self._store.witness = self._see

    def forget(self, observer: Observer) -> None:
        """Tell it nothing any more; done again it does nothing."""
        if observer in self._observers:
            self._observers.remove(observer)
        if observer in self._live:
            self._live.remove(observer)
            self._line_up(self._names)
        if not self._live:
            self._store.witness = None
            self._stop()

    def _line_up(self, names: dict[int, str]) -> None:
        """Find out whom a tree concerns."""
        self._names = names
        self._of_tree = {}
        for it in self._live:
            for tree_id in it.wanted.trees_of(names):
                self._of_tree.setdefault(tree_id, []).append(it)

    def _see(self, index: int, changes: Changes) -> None:
        if CATALOG_ID in changes.trees:
            self._learn(changes)
        try:
            self._on_write_set(index, changes)
        except MemoryError:
            self._lose()  # who observes misses it, and the member goes on

    def _on_write_set(self, index: int, changes: Changes) -> None:
        of_all = any(it.wanted.tree is None for it in self._live)
        if not of_all and changes.trees.isdisjoint(self._of_tree):
            return
        records = Records(changes, self._of_tree, self._store.layers)
        if self._current is not None:
            self._line.append(_Waiting(index, records))
            self._line_bytes += records.size_bytes
            if self._line_bytes > LINE_BYTES_MAX:
                self._lose()
            return
        view = self._store.held_views.glimpse()
        self._differences = Differences(view)
        self._begin(index, records)
        if self._go_through():
            self._stop()
            return
        try:
            view.hold()
        except (Overloaded, StoreError):
            self._lose()
            return
        self._view = view
        self._schedule()

    def _learn(self, changes: Changes) -> None:
        """Trees come: their rows are in the write set, and not in the store yet."""
        rows: dict[str, Declared] = {}
        for kind, _, key, value in changes.of_tree(METADATA_ID):
            if kind == PUT and value is not None and (name := declared.name_of_row(key)):
                rows[name] = declared.decode(value)
        names = dict(self._names)
        for kind, _, key, value in changes.of_tree(CATALOG_ID):
            name = key.decode()
            row = rows.get(name) or self._row(name)
            if kind == PUT and value is not None and row is not None:
                names[int.from_bytes(value, "big")] = name
                self._check(name, row)
        self._line_up(names)

    def _row(self, name: str) -> Declared | None:
        held = self._member.view.get(METADATA_ID, declared.row_name(name))
        return None if held is None else declared.decode(held)

    def _check(self, name: str, row: Declared) -> None:
        """A tree is there that somebody has waited for."""
        for it in self._live:
            if it.wanted.tree == name:
                try:
                    it.wanted.check(row)
                except RoostError as error:
                    it.error = error
                    it.wake()

    def _begin(self, index: int, records: Records) -> None:
        assert self._differences is not None, "there is a view"
        self._index, self._records = index, records
        self._current = self._differences.of(records, self._of_tree)

    def _go_through(self) -> bool:
        """Tell another slice; whether that was all of the write set."""
        assert self._current is not None, "there is one"
        for count, it in enumerate(self._current, 1):
            if it is None:
                return False
            self._tell(it)
            if count >= SLICE:
                return False
        return True

    def _tell(self, difference: Difference) -> None:
        tree_id, key = difference.tree_id, difference.key
        if tree_id is None:
            tree, told = "", [it for it in self._live if it.wanted.tree is None]
        else:
            tree = self._names.get(tree_id, "")
            told = [it for it in self._of_tree.get(tree_id, ()) if it.wanted.covers(key)]
        if told:
            value, before = difference.value, difference.before
            if difference.annotations is not self._said:
                # Those of a long write are of all its keys, and may be many.
                self._said = difference.annotations
                self._annotations = annotations_of(self._said)
            change = Change(self._index, tree, key, value, before, self._annotations)
            size = _size_of(key, value, before)
            for it in told:
                it.put(change, size)

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        """Another slice, in a turn of its own."""
        self._is_scheduled = False
        if self._current is None:
            return
        try:
            is_over = self._go_through()
        except (HeldViewLost, StoreError, MemoryError):
            # Memory is short, the view lost, or the base damaged, of which the member has heard.
            self._lose()
            return
        if is_over and not self._line:
            self._stop()
            return
        if is_over:
            assert self._records is not None, "it was gone through"
            self._records.close()
            waiting = self._line.popleft()
            self._line_bytes -= waiting.records.size_bytes
            self._begin(waiting.index, waiting.records)
        self._schedule()

    def _lose(self) -> None:
        """What is under way, and all that waits, will not be told."""
        self._stop()
        for it in self._live:
            it.lose()

    def tell_lost(self, observer: Observer) -> None:
        """An observer is too slow: say so to whoever listens."""
        index = self._store.applied_index
        self._overrun_count += 1
        self._member.tell(ObserverOverrun(observer.wanted.tree or "", index))

    def _stop(self) -> None:
        """Nothing is under way."""
        if self._view is not None:
            self._view.close()
        for records in (self._records, *[it.records for it in self._line]):
            if records is not None:
                records.close()
        self._current = self._view = self._differences = self._records = None
        self._line.clear()
        self._line_bytes = 0

    def _on_switched(self) -> None:
        """A snapshot took the place of everything, and nobody knows what changed by that."""
        self._lose()
        self._line_up(names_of(self._member.view))

    def close(self) -> None:
        """The member has ended: whoever waits is told."""
        self._stop()
        for it in self._observers:
            it.wake()


def _size_of(key: bytes, value: object, before: object) -> int:
    """What a change keeps in memory, about."""
    size = len(key)
    for it in (value, before):
        if isinstance(it, bytes):
            size += len(it)
    return size
