"""Lines: the keys under a prefix in the order of their creation, for whoever asks who is before.

Locks and elections ask for the living key that was created last before a given one.  The keys
themselves do not tell without a walk over all of them, so the leader remembers the order of the
lines it was asked about: one walk for a line, then every key that is created under it (`Writer`)
goes to the end, since create revisions only grow.  A key that is gone is found out when somebody
asks, and forgotten then; so joining a line, and hearing who is before, costs a look-up.

What is remembered is a hint, held against the transaction's own view each time: an operation that
was refused, or a batch that was dropped, leaves entries that no living key answers to.  Only what
was created behind our back would be missed; so everything is forgotten when a term begins.

Full?  ENTRIES_MAX keys; then the line that was asked about longest ago is forgotten.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from roost.etcd.model.wire import read_origin
from roost.store import View

ENTRIES_MAX = 200_000
# (create revision, key), in order.
Entry = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Now:
    """What a line is held against: the term, and the state that is applied, with its revision."""

    term: int
    applied: View
    revision: int


class Lines:
    """The lines that were asked about in this term."""

    def __init__(self) -> None:
        """Nobody has asked."""
        self._lines: dict[bytes, list[Entry]] = {}
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
        slash = key.rfind(b"/")
        while slash >= 0:
            line = self._lines.get(key[: slash + 1])
            if line is not None:
                while line and line[-1][0] > create_revision:
                    line.pop()  # what was proposed then came to nothing
                    self._entry_count -= 1
                line.append((create_revision, key))
                self._entry_count += 1
            slash = key.rfind(b"/", 0, slash)
        if self._entry_count > ENTRIES_MAX:
            self._lines.clear()
            self._entry_count = 0

    def before(
        self, view: View, kv: int, prefix: bytes, create_revision: int, *, now: Now
    ) -> bytes:
        """The living key of a line that was created last before this revision; b"" when none was.

        `prefix` ends with a slash; `view` is that of the transaction that asks.
        """
        term, applied, applied_revision = now.term, now.applied, now.revision
        if term != self._term:
            self._lines.clear()
            self._term, self._entry_count = term, 0
        line = self._lines.pop(prefix, None)
        if line is None:
            line = sorted({*_walk(view, kv, prefix), *_walk(applied, kv, prefix)})
            self._entry_count += len(line)
        self._lines[prefix] = line  # the newest last
        self._forget_oldest()
        begin = end = bisect_left(line, (create_revision,))
        found = b""
        kept: list[Entry] = []
        while begin and not found:
            created, key = line[begin - 1]
            if _lives(view, kv, key, created):
                found = key
                break
            begin -= 1
            # What is proposed may come to nothing: only who is gone as applied is gone for good.
            if created > applied_revision or _lives(applied, kv, key, created):
                kept.append(line[begin])
        kept.reverse()
        self._entry_count -= end - begin - len(kept)
        line[begin:end] = kept
        return found

    def _forget_oldest(self) -> None:
        while self._entry_count > ENTRIES_MAX and len(self._lines) > 1:
            oldest = next(iter(self._lines))
            self._entry_count -= len(self._lines.pop(oldest))


def _walk(view: View, kv: int, prefix: bytes) -> Iterator[Entry]:
    stop = prefix[:-1] + bytes([prefix[-1] + 1])
    return ((read_origin(it).create_revision, key) for key, it in view.iterate(kv, prefix, stop))


def _lives(view: View, kv: int, key: bytes, created: int) -> bool:
    """Whether a key is there as it was created then."""
    encoded = view.get(kv, key)
    return encoded is not None and read_origin(encoded).create_revision == created
