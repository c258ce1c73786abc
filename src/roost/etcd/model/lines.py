"""Lines: the keys under a prefix in the order of their creation, for whoever asks who is before.

Locks and elections ask for the living key that was created last before a given one.  The keys
themselves do not tell without a walk over all of them, so the leader remembers the order of the
lines it was asked about: one walk for a line, then every key that is created under it (`Writer`)
goes to the end, since create revisions only grow.  A key that is gone is found out when somebody
asks, and forgotten then; so joining a line, and hearing who is before, costs a look-up.

What is remembered is a hint, held against the transaction's own view each time: an operation that
was refused, or a batch that was dropped, leaves entries that no living key answers to.  Only what
was created behind our back would be missed; so everything is forgotten when a term begins.

Anything may be a line, also a million keys that are none: a walk is made in steps (D14).

Full?  Of a line the newest LINE_COUNT_MAX keys are remembered, and whoever is before all of these
is looked for by a walk; of all lines ENTRIES_MAX, then the one that was asked about longest ago is
forgotten.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush, heappushpop

from roost.database.model import View, Walk
from roost.etcd.model.costs import Costs
from roost.etcd.model.wire import read_origin

ENTRIES_MAX = 200_000
LINE_COUNT_MAX = 50_000
_ROWS_A_STEP = 256
# Of entries that nothing lives by, so many are passed in a step; each is looked for in two states.
_GONE_A_STEP, _COST_OF_GONE = 32, 4
# (create revision, key), in order.
Entry = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Now:
    """What a line is held against: the term, and the state that is applied, with its revision."""

    term: int
    applied: View
    revision: int


@dataclass(slots=True)
class _Line:
    """The keys that are remembered of a line, in the order of their creation."""

    entries: list[Entry] = field(default_factory=list)
    # What was created up to this revision may have been left out.
    floor: int = 0


class Lines:
    """The lines that were asked about in this term."""

    def __init__(self) -> None:
        """Nobody has asked."""
        self._lines: dict[bytes, _Line] = {}
        self._term = 0
        self._entry_count = 0

    @property
    def entry_count(self) -> int:
        """How many keys are remembered, living or not."""
        return self._entry_count

    def note_created(self, key: bytes, create_revision: int) -> None:
        """A key was created; it stands at the end of every line that it is in."""
        if not self._lines:
            return
        for line in self._lines_of(key):
            entries = line.entries
            while entries and entries[-1][0] > create_revision:
                entries.pop()  # what was proposed then came to nothing
                self._entry_count -= 1
            entries.append((create_revision, key))
            self._entry_count += 1
        if self._entry_count > ENTRIES_MAX:
            self._lines.clear()
            self._entry_count = 0

    def _lines_of(self, key: bytes) -> list[_Line]:
        """The lines that a key is in: each of its slashes may end the name of one.

        A key may be a megabyte of slashes; no more are looked at than there are lines.
        """
        if key.count(b"/") > len(self._lines):
            return [line for prefix, line in self._lines.items() if key.startswith(prefix)]
        found = []
        slash = key.rfind(b"/")
        while slash >= 0:
            line = self._lines.get(key[: slash + 1])
            if line is not None:
                found.append(line)
            slash = key.rfind(b"/", 0, slash)
        return found

    def before(
        self, view: View, kv: int, prefix: bytes, create_revision: int, *, now: Now
    ) -> Costs[bytes]:
        """The living key of a line that was created last before this revision; b"" when none was.

        `prefix` ends with a slash; `view` is that of the transaction that asks.  Yields what steps
        have cost, and none when the line is known.
        """
        if now.term != self._term:
            self._lines.clear()
            self._term, self._entry_count = now.term, 0
        line = self._lines.pop(prefix, None)
        if line is None:
            line = yield from _learned(view, kv, prefix, now.applied)
            self._entry_count += len(line.entries)
        self._lines[prefix] = line  # the newest last
        self._forget_oldest()
        place = bisect_left(line.entries, (create_revision,))
        found = b""
        while place and not found:
            end = place
            found, place = self._pass_gone(prefix, line, end, view, kv, now)
            if place < end:
                yield (end - place) * _COST_OF_GONE
        if found or not line.floor:
            return found
        return (yield from _walk_for(view, kv, prefix, create_revision))

    def _pass_gone(
        self, prefix: bytes, line: _Line, end: int, view: View, kv: int, now: Now
    ) -> tuple[bytes, int]:
        """The last living entry before a place, if it is among the next few; the place then.

        What is gone behind it is dropped, so it is passed once.
        """
        entries = line.entries
        begin, first = end, max(0, end - _GONE_A_STEP)
        found = b""
        kept: list[Entry] = []
        while begin > first:
            created, key = entries[begin - 1]
            if _lives(view, kv, key, created):
                found = key
                break
            begin -= 1
            # What is proposed may come to nothing: only who is gone as applied is gone for good.
            if created > now.revision or _lives(now.applied, kv, key, created):
                kept.append(entries[begin])
        kept.reverse()
        if self._lines.get(prefix) is line:  # a term may have begun between two steps
            self._entry_count -= end - begin - len(kept)
        entries[begin:end] = kept
        return found, begin

    def _forget_oldest(self) -> None:
        while self._entry_count > ENTRIES_MAX and len(self._lines) > 1:
            oldest = next(iter(self._lines))
            self._entry_count -= len(self._lines.pop(oldest).entries)


def _learned(view: View, kv: int, prefix: bytes, applied: View) -> Costs[_Line]:
    """The newest of a line, as `view` or the applied state has them."""
    newest: list[Entry] = []
    floor = 0
    for seen in (view, applied):
        for found in _parts(seen, kv, prefix):
            for entry in found:
                if len(newest) < LINE_COUNT_MAX:
                    heappush(newest, entry)
                elif entry > newest[0]:
                    floor = max(floor, heappushpop(newest, entry)[0])
                else:
                    floor = max(floor, entry[0])
            yield 2 * len(found)
    line = _Line(floor=floor)
    while newest:
        for _ in range(min(_ROWS_A_STEP, len(newest))):
            entry = heappop(newest)
            if entry[0] > floor and (not line.entries or line.entries[-1] != entry):
                line.entries.append(entry)
        yield _ROWS_A_STEP
    return line


def _walk_for(view: View, kv: int, prefix: bytes, create_revision: int) -> Costs[bytes]:
    """The same as `Lines.before`, of all keys of a line and without remembering them."""
    best: Entry = (0, b"")
    for found in _parts(view, kv, prefix):
        best = max((best, *(it for it in found if it[0] < create_revision)))
        yield len(found)
    return best[1]


def _parts(view: View, kv: int, prefix: bytes) -> Iterator[list[Entry]]:
    """All keys of a line, a step each."""
    walk = Walk(view, kv, prefix, prefix[:-1] + bytes([prefix[-1] + 1]))
    while not walk.is_done:
        rows = walk.take(_ROWS_A_STEP)
        yield [(read_origin(encoded).create_revision, key) for key, encoded in rows]


def _lives(view: View, kv: int, key: bytes, created: int) -> bool:
    """Whether a key is there as it was created then."""
    encoded = view.get(kv, key)
    return encoded is not None and read_origin(encoded).create_revision == created
