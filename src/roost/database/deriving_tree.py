"""One derived tree on its way: what it has still to look at, and the rows it makes of that.

    WAITING       entries that it has seen are not applied here yet, after a crash
    CATCHING_UP   it reads from the log which rows were changed while nobody told it
    LIVE          it is told which rows are changed
    ENDED         its function failed, or it was dropped

Rows of the source are read as they are now, not as they were at some log position; `back` says
which rows were made of the ones before.  So it may look at a row twice, or late, and comes to the
same; and after a crash it looks again at all that was changed behind `done_index`.  Where the log
does not go back so far, or has another entry at `seen_index` than it had, all is looked at.

A slice is about SLICE_UNITS rows read or written, or one row of the source and all it makes.
"""

import asyncio
import logging
from collections import deque
from enum import Enum
from typing import Any

import msgspec

from roost.database import declared
from roost.database import derived_rows as layout
from roost.database.changed import (
    LogMember,
    earlier,
    merged,
    note_changes,
    note_entry,
    part,
    share_of,
)
from roost.database.derivations import Derivation
from roost.database.derived_rows import NewRows, Registered, Rest
from roost.database.dirty import Dirty, DirtyRange
from roost.database.errors import DerivedFailed, Rebuilding
from roost.database.limits import Limits
from roost.errors import RoostError
from roost.outcome import PROGRAM_FAULTS, in_words
from roost.raft import Entry, EntryKind
from roost.store import CATALOG_ID, METADATA_ID, Changes, Txn

logger = logging.getLogger(__name__)
SLICE_UNITS = 200
PAST_BYTES = 32 << 10


class State(Enum):
    """See the module."""

    WAITING = "waiting"
    CATCHING_UP = "catching up"
    LIVE = "live"
    ENDED = "ended"


class DerivingTree:
    """See the module; one owner, one thread."""

    def __init__(self, member: LogMember, derivation: Derivation[Any, Any], limits: Limits) -> None:
        """Nothing is known of it before `begin`."""
        self._member = member
        self.derivation = derivation
        self._limits = limits
        self.state = State.WAITING
        self.error: RoostError | None = None
        self.dirty = Dirty()
        self.pair = self.rows_id = self.back_id = 0
        self._source_id = 0
        self.is_built = False
        # What was kept last, and up to which entry the log was read.
        self.kept: Registered | None = None
        self._place = 0
        self.oversized_count = 0
        # How often it was made, from its source, since it was opened.
        self.built_count = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def name(self) -> str:
        """Its name."""
        return self.derivation.name

    def begin(self, pair: int, rows_id: int, back_id: int, kept: Registered | None) -> None:
        """Go on where `kept` says, in the trees of a pair; None = from the beginning."""
        self.pair, self.rows_id, self.back_id = pair, rows_id, back_id
        self.kept = kept
        self.dirty.clear()
        self.is_built = False
        if kept is None or kept.made_by != layout.made_by(self.derivation):
            self._look_at_all()
            return
        self.state = State.WAITING
        self.is_built = kept.is_built
        self._source_id = kept.source_id
        self._place = kept.done_index
        for it in kept.rest:
            # Since when they have to be looked at is not kept: since ever.
            self.dirty.ranges.append(DirtyRange(it.first, it.stop, 0))
        self._look_if_applied()

    def _look_at_all(self) -> None:
        """Look at every row of the source, and go on with what is told."""
        self.dirty.clear()
        # Rows may have been made of keys that do not count any more.
        self.dirty.note_range(b"", None, self._member.store.applied_index)
        self.is_built = False
        self._source_id = 0
        self._go_live()

    def note_committed(self, index: int) -> None:
        """Whatever was committed before is applied up to `index`: what was seen beyond is lost."""
        if self.state is State.WAITING and self.kept and self.kept.seen_index > index:
            self._look_at_all()

    def lose(self) -> None:
        """What there is of it is lost; it waits for `begin`."""
        if self.state is not State.ENDED:
            self.state, self.kept, self.is_built = State.WAITING, None, False
            self.dirty.clear()
            self.tell_waiting()

    def look_at_all(self) -> None:
        """Nobody knows what was changed: a snapshot has taken the place of everything."""
        if self.state is not State.ENDED:
            self._look_at_all()

    def _go_live(self) -> None:
        self.state = State.LIVE
        self._place = self._member.store.applied_index
        self._find_source()

    def _find_source(self) -> None:
        """Learn which tree the source is now; the same name may be another tree than before."""
        source = self.derivation.source
        try:
            found = declared.find(self._member.view, source.name)
            declared.check_codecs(source.name, found.declared, source.keys.name, source.values.name)
        except RoostError as error:
            self.end(error)
            return
        before, self._source_id = self._source_id, found.id or 0
        if before not in (0, self._source_id):
            self.dirty.note_range(b"", None, self._member.store.applied_index)
            self.is_built = False

    def _look_if_applied(self) -> None:
        """Begin to read the log, once all that was seen is applied here again."""
        kept, member = self.kept, self._member
        assert kept is not None, "it waits for what was kept"
        applied = member.store.applied_index
        if applied < kept.seen_index:
            return
        if member.term_at(kept.seen_index) != kept.seen_term:
            self._look_at_all()
            return
        self.state = State.CATCHING_UP
        self._find_source()
        self._end_of_past()

    def _end_of_past(self) -> None:
        if self.state is State.CATCHING_UP and self._place >= self._member.store.applied_index:
            self._go_live()

    def _read_past(self) -> None:
        """Another slice of the log."""
        first = self._place + 1
        entries: tuple[Entry, ...] = ()
        if first >= self._member.first_index:
            entries = self._member.applied_entries(first, PAST_BYTES)
        if not entries:
            self._look_at_all()
            return
        self._find_source()
        for entry in entries:
            if entry.kind is EntryKind.NORMAL and self.state is State.CATCHING_UP:
                note_entry(self.dirty, self.derivation.range, self._source_id, entry)
            self._place = entry.index
        self._end_of_past()

    def note(self, index: int, changes: Changes) -> None:
        """A write set was applied."""
        if self.state is not State.LIVE:
            return
        if CATALOG_ID in changes.trees:
            self._find_source()
        if self._source_id and self._source_id in changes.trees:
            note_changes(self.dirty, self.derivation.range, self._source_id, index, changes)

    @property
    def done_index(self) -> int:
        """All that was changed up to here was looked at, but for what is in ranges."""
        place = self._member.store.applied_index if self.state is State.LIVE else self._place
        oldest = self.dirty.oldest_key_index
        return place if oldest is None else min(place, oldest - 1)

    @property
    def has_work(self) -> bool:
        """Whether there is something to do now."""
        if self.state is State.WAITING:
            kept = self.kept
            return kept is not None and self._member.store.applied_index >= kept.seen_index
        return self.state is State.CATCHING_UP or not self.dirty.is_empty

    @property
    def is_pressing(self) -> bool:
        """Whether there is something to do that does not wait: all but a walk."""
        return self.has_work and (self.state is not State.LIVE or self.dirty.has_keys)

    def look(self) -> None:
        """Read the log, where it has to be; a slice."""
        if self.state is State.WAITING:
            self._look_if_applied()
        elif self.state is State.CATCHING_UP:
            self._read_past()

    def work(self, txn: Txn, *, may_walk: bool) -> None:
        """Look at a slice of what waits, and write what comes of it; ranges if it `may_walk`.

        Raises:
            DerivedFailed: the function failed; the transaction must be thrown away.
            StoreError: a row cannot be read.

        """
        assert self.state is State.LIVE, "what it makes is of what is applied"
        units, new = 0, NewRows()
        while self.dirty.has_keys and units < SLICE_UNITS:
            key = self.dirty.take_key()
            source_id = self._source_id
            value = self._member.view.get(source_id, key) if source_id else None
            units += self._derive(txn, new, key, value, txn.get(self.back_id, key))
        new.put(txn, self.rows_id, self.back_id)
        if self.dirty.ranges and may_walk and units < SLICE_UNITS:
            self._walk(txn, SLICE_UNITS - units)
        if not self.dirty.ranges:
            self.built_count += not self.is_built
            self.is_built = True
        self.keep(txn)

    def _walk(self, txn: Txn, room: int) -> None:
        """Look at a part of the first range: rows of the source, and what was made of others."""
        found = self.dirty.ranges[0]
        count = max(1, room // 2)
        ours = self.derivation.range
        first, stop = max(found.first, ours.first), earlier(found.stop, ours.stop)
        rows, place = part(self._member.view, self._source_id, first, stop, count)
        made, end = part(txn, self.back_id, found.first, place or found.stop, count)
        place = end or place
        # All that was made of keys before `place` was read: what is not there was never made.
        units, new, backs = 0, NewRows(), dict(made)
        for key, value in merged(rows, backs, place):
            units += self._derive(txn, new, key, value, backs.get(key))
            if units >= room:
                place = key + b"\0" if place is None or key + b"\0" < place else place
                break
        new.put(txn, self.rows_id, self.back_id)
        self.dirty.go_on_at(place)

    def _derive(
        self, txn: Txn, new: NewRows, key: bytes, value: bytes | None, back: bytes | None
    ) -> int:
        """Have the tree hold what comes of one row, and nothing else of that key; rows touched.

        `back` says what was made of it before; None = nothing.  Each key comes once before `new` is
        put: nothing that is there has a name of another's.
        """
        made: dict[bytes, bytes] = {} if value is None else self._made(key, value)
        rows_id, units = self.rows_id, 1 + len(made)
        if back is None:
            # As nearly all are, while a tree is made for the first time.
            if made:
                new.add(key, made)
            return units
        held = layout.decode_keys(back)
        for it in held:
            if it not in made:
                txn.delete(rows_id, layout.row_name(it, key))
                units += 1
        before = set(held)
        for it, content in made.items():
            name = layout.row_name(it, key)
            if it not in before or txn.get(rows_id, name) != content:
                txn.put(rows_id, name, content)
        if list(made) != held:
            if made:
                txn.put(self.back_id, key, layout.encode_keys(list(made)))
            else:
                txn.delete(self.back_id, key)
        return units

    def _made(self, key: bytes, value: bytes) -> dict[bytes, bytes]:
        try:
            made = self.derivation.rows(key, value, self._limits)
        except KeyboardInterrupt:
            raise
        except PROGRAM_FAULTS as error:
            where = f"{self.name}: at the row {self.derivation.shown(key)} of its source"
            raise DerivedFailed(f"{where}: {in_words(error)}") from error
        if len(made) > self.derivation.rows_max:
            self.oversized_count += 1
            if self.oversized_count == 1:
                logger.warning(
                    "%s makes %d rows of %s, and more than rows_max=%d of one",
                    *(self.name, len(made), self.derivation.shown(key)),
                    self.derivation.rows_max,
                )
        return made

    def keep(self, txn: Txn) -> None:
        """Write how far it has come, with what it says."""
        store = self._member.store
        kept = Registered(
            pair=self.pair,
            made_by=layout.made_by(self.derivation),
            source_id=self._source_id,
            is_built=self.is_built,
            done_index=self.done_index,
            seen_index=store.applied_index,
            seen_term=store.applied_term,
            rest=tuple(Rest(it.first, it.stop) for it in self.dirty.ranges),
        )
        txn.put(METADATA_ID, layout.registered_name(self.name), msgspec.msgpack.encode(kept))
        self.kept = kept

    def end(self, error: RoostError) -> None:
        """Do no more, and say why."""
        self.state, self.error = State.ENDED, error
        self.dirty.clear()
        self.tell_waiting()

    def check(self) -> None:
        """Refuse to be read when there is nothing that can be.

        Raises:
            RoostError: what it ended with.
            Rebuilding: not all of it is there.

        """
        if self.error is not None:
            raise self.error
        if not self.is_built:
            text = f"the derived tree {self.name!r} is being made anew"
            raise Rebuilding(f"{text}, and {self.share:.0%} is there", share=self.share)

    def is_ready(self, index: int) -> bool:
        """Whether all that was changed up to `index` can be seen in it."""
        if self.state is not State.LIVE or not self.is_built:
            return False
        oldest = self.dirty.oldest_index
        return oldest is None or oldest > index

    @property
    def share(self) -> float:
        """How much of its source was looked at, from 0 to 1, as its keys lie."""
        if self.is_built:
            return 1.0
        source_id, bounds, view = self._source_id, self.derivation.range, self._member.view
        place = self.dirty.ranges[0].first if self.dirty.ranges else bounds.first
        if not source_id or place <= bounds.first:
            return 0.0
        first = view.scan(source_id, bounds.first, bounds.stop, limit=1)
        last = view.scan(source_id, bounds.first, bounds.stop, reverse=True, limit=1)
        return share_of(first[0][0], last[0][0], place) if first else 0.0

    async def wait(self, index: int | None) -> None:
        """Wait until all that was changed up to `index` can be seen; None = all of it is there.

        Raises:
            RoostError: it has ended, and why.
            Rebuilding: it is being made anew, and `index` was asked for.

        """
        while True:
            if index is None and self.error is None:
                if self.is_built:
                    return
            else:
                self.check()
                if index is None or self.is_ready(index):
                    return
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((-1 if index is None else index, future))
            await future

    def tell_waiting(self) -> None:
        """Tell those whose wait is over, however it is."""
        left: deque[tuple[int, asyncio.Future[None]]] = deque()
        for index, future in self._waiting:
            if future.done():
                continue
            is_over = self.error is not None or (
                self.is_built if index < 0 else not self.is_built or self.is_ready(index)
            )
            if is_over:
                future.set_result(None)
            else:
                left.append((index, future))
        self._waiting = left
