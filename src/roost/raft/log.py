"""The log as the core sees it: a tail in memory over durable storage.

    storage.first_index … durable_index … handed_index … last_index
                          |  durable   |  being written | not yet handed to the disk
          first_cached … (recent entries stay in memory, for peers that are slightly behind)

Index order always: storage.first_index - 1 <= applied <= applying <= committed <= last.
A Ready hands out what follows `handed_index`; `persisted` moves `durable_index`.  Truncation
pulls both back, and forgets what older Readys still on their way to the disk will report, so
that an old write can never vouch for a newer entry at its position (checklist 59, 144).

Full?  The cache is trimmed by bytes; what is not durable or not applied is never trimmed, and
is bounded by the core's limits on uncommitted bytes where it leads, and by `tail_bytes_max`
where it follows.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from roost.raft.types import Entry, EntryKind


class Storage(Protocol):
    """The durable log.  `term_at(first_index - 1)` must stay known."""

    @property
    def first_index(self) -> int:
        """The oldest entry kept."""

    @property
    def last_index(self) -> int:
        """The newest entry handed to it."""

    def term_at(self, index: int) -> int | None:
        """The term of an entry; None when compacted or beyond the end."""

    @property
    def first_damaged(self) -> int:
        """The oldest entry whose payload is damaged; 0 when there is none.  Its term counts."""

    def entries(self, first: int, stop: int, bytes_max: int) -> tuple[Entry, ...]:
        """Entries from `first`, before `stop` and the first damaged one, up to `bytes_max`.

        At least one, unless the first is damaged.
        """

    def changes_after(self, index: int) -> list[int]:
        """Where changes of the configuration stand behind `index`, ascending."""


class Log:
    """Entries, and how far they are durable, committed and applied."""

    def __init__(self, storage: Storage, *, applied_index: int, cache_bytes_max: int) -> None:
        """Start with an empty tail: everything in storage is durable."""
        # Read, and never written, from here: the driver writes what a Ready hands it.
        self._storage = storage
        self._cache_bytes_max = cache_bytes_max
        # Entries first_cached … last_index without a gap; what is below is in storage only.
        self._tail: list[Entry] = []
        self._tail_bytes = 0
        self.first_cached = storage.last_index + 1
        # How far the *disk* has what the log says; everything that promises asks this, and not
        # `last_index`.  Moves back when the log is cut, for what was durable there is void.
        self.durable_index = storage.last_index
        # How far the disk was given it: what is between the two is being written.
        self.handed_index = storage.last_index
        # Never below the commit index; (last_index, last_term) is what elections compare.
        self.last_index = storage.last_index
        last_term = storage.term_at(storage.last_index)
        self.last_term = last_term if last_term is not None else 0
        # Only grows.  Not read from the disk: it is learnt again, and what was applied was
        # committed, as was everything that was compacted (thesis §3.8).
        self.commit_index = max(applied_index, storage.first_index - 1)
        # Handed out to be applied, and reported as applied; both only grow.
        self.applying_index = self.commit_index
        self.applied_index = self.commit_index
        # Last index of each Ready on its way to the disk, oldest first; 0 = nothing to vouch for.
        self._outstanding: deque[int] = deque()
        # Where changes of the configuration stand that are not applied yet, ascending.
        self.change_indexes = storage.changes_after(self.applied_index)

    @property
    def cached_bytes(self) -> int:
        """What the entries in memory take; some stay there when nothing is on its way."""
        return self._tail_bytes

    @property
    def first_damaged(self) -> int:
        """The oldest entry whose payload is damaged here; 0 when there is none."""
        return self._storage.first_damaged

    def vouched(self, index: int) -> int:
        """How far up to `index` this log holds what it says; a damaged copy is none (J19)."""
        # From the first damaged one on, though what is behind it may be whole: a match point says
        # *everything* up to here.
        damaged = self._storage.first_damaged
        return min(index, damaged - 1) if damaged else index

    @property
    def committed_change_index(self) -> int:
        """The newest change that is committed and not applied yet; 0 = none."""
        # A walk, but of one or two: the next change waits until the one before it is applied.
        return max((it for it in self.change_indexes if it <= self.commit_index), default=0)

    @property
    def first_index(self) -> int:
        """The oldest entry that can still be had."""
        return self._storage.first_index

    def term_at(self, index: int) -> int | None:
        """The term of the entry at `index`; 0 at position 0, None when unknown here."""
        # The tail first: where both have something, as after a truncation that the disk has not
        # heard of yet, the tail is the log and the storage is the past (checklist 55).
        if index >= self.first_cached:
            position = index - self.first_cached
            return self._tail[position].term if position < len(self._tail) else None
        if index == 0:
            return 0
        return self._storage.term_at(index)

    def slice(self, first: int, bytes_max: int, stop: int | None = None) -> tuple[Entry, ...]:
        """Entries from `first` (before `stop`), at least one if there is one, up to `bytes_max`."""
        end = self.last_index + 1 if stop is None else stop
        if first >= end:
            return ()
        # Never from both at once: whoever asks comes again for the rest.
        if first < self.first_cached:
            return self._storage.entries(first, min(end, self.first_cached), bytes_max)
        tail = self._tail
        begin = first - self.first_cached
        # What a lone put is: asked for each peer, and no loop is begun for it.
        if end - first == 1:
            return (tail[begin],)
        size, position, limit = 0, begin, end - self.first_cached
        while position < limit:
            size += len(tail[position].payload)
            # The first one goes whatever its size, or nothing would ever move (checklist 61).
            if size > bytes_max and position > begin:
                break
            position += 1
        return tuple(tail[begin:position])

    def holds(self, index: int, term: int) -> bool:
        """Whether the entry at `index` is the one of `term`."""
        # (index, term) names one content for ever, since a leader makes one entry a position and
        # never another (§3.5): to compare names is to compare entries.
        return self.term_at(index) == term

    def append(self, entry: Entry) -> None:
        """Put one entry at the end."""
        assert entry.index == self.last_index + 1, "entries are contiguous"
        assert entry.term >= self.last_term, "terms never decrease along the log"
        self._tail.append(entry)
        self._tail_bytes += len(entry.payload)
        self.last_index = entry.index
        self.last_term = entry.term
        # Remembered by position, so that a campaign need not search the log for one.
        if entry.kind is EntryKind.CONFIGURATION:
            self.change_indexes.append(entry.index)

    def append_after(self, prev_index: int, entries: Sequence[Entry]) -> int:
        """Take a leader's entries; return the index of the last one.

        Only a true conflict truncates: deleting a matching suffix would lose acknowledged
        entries when an old append arrives late (checklist 66).
        """
        # "If an existing entry conflicts with a new one (same index but different terms), delete
        # the existing entry and all that follow it" (thesis Figure 3.1).  Only then: what is here
        # already may be followed by newer entries that we have promised (openraft 9540c904).
        for position, entry in enumerate(entries):
            if entry.index > self.last_index or self.term_at(entry.index) != entry.term:
                if entry.index <= self.last_index:
                    self._truncate(entry.index)
                for new in entries[position:]:
                    self.append(new)
                break
        # Also where none of them was new: the answer says what we hold, not what we learnt.
        return prev_index + len(entries)

    def _truncate(self, index: int) -> None:
        """Drop everything from `index` on."""
        # Committed entries are in every later leader's log (leader completeness, §3.6.3), so no
        # leader can ask for this.  One that does is none, or our log was not what it seemed.
        assert index > self.commit_index, "a committed entry is never truncated"
        if index >= self.first_cached:
            position = index - self.first_cached
            self._tail_bytes -= sum(len(entry.payload) for entry in self._tail[position:])
            del self._tail[position:]
        # Cut below all that is in memory.  The storage still has what was there, until the disk is
        # given what replaces it; `term_at` does not see that, since the tail begins at the cut.
        else:
            self._tail.clear()
            self._tail_bytes = 0
            self.first_cached = index
        last = index - 1
        self.change_indexes = [it for it in self.change_indexes if it <= last]
        # Writes under way may finish, but what they wrote behind the cut is not what the log says
        # there any more: they vouch for what is before it, and for that only.  Else the end of an
        # old write would make a new entry durable that the disk has never seen (checklist 144).
        self._outstanding = deque(min(durable, last) for durable in self._outstanding)
        self.durable_index = min(self.durable_index, last)
        self.handed_index = min(self.handed_index, last)
        self.last_index = last
        last_term = self.term_at(last)
        assert last_term is not None, "the term below an uncommitted entry is known"
        self.last_term = last_term

    def forget_from(self, index: int) -> None:
        """Entries from `index` on are known to be nowhere: they were never committed."""
        self._truncate(index)

    def take_entries(self) -> list[Entry]:
        """Hand over what the disk has not been given yet."""
        # After a truncation `handed_index` is behind what the disk was given: then these replace
        # it, which is how a follower's disk learns of another leader's entries.
        begin = self.handed_index + 1 - self.first_cached
        assert begin >= 0, "what was not handed out stays in memory"
        self.handed_index = self.last_index
        return self._tail[begin:]

    def note_outstanding(self, *, has_entries: bool) -> None:
        """A Ready was taken; `note_persisted` will follow in the same order."""
        # A Ready without entries has a place in the row all the same: they finish in order, and
        # `note_persisted` must not take one's end for another's.
        self._outstanding.append(self.handed_index if has_entries else 0)

    def note_persisted(self) -> bool:
        """The oldest outstanding Ready is durable; say whether `durable_index` moved."""
        # Not "everything handed out is durable": later Readys may be on their way behind this one.
        durable = self._outstanding.popleft()
        if durable <= self.durable_index:
            return False
        assert durable <= self.handed_index, "the disk has only what it was given"
        self.durable_index = durable
        return True

    def commit_to(self, index: int) -> bool:
        """Move the commit index forward; say whether it moved."""
        # Old news is no news: commit indexes arrive late and out of order (checklist 68, 74).
        if index <= self.commit_index:
            return False
        assert index <= self.last_index, "commit never passes the log's end"
        self.commit_index = index
        return True

    def restore(self, index: int, term: int) -> None:
        """A snapshot replaced everything; the storage begins after it (checklist 60, 104)."""
        assert index > self.commit_index, "a snapshot never takes anything committed back"
        assert self._storage.first_index == index + 1, "the storage begins behind the snapshot"
        self._tail.clear()
        self._tail_bytes = 0
        # Writes under way were of a log that is gone.
        self._outstanding = deque(0 for _ in self._outstanding)
        self.first_cached = index + 1
        self.durable_index = self.handed_index = self.last_index = index
        # A snapshot is of what was applied, somewhere, and so of what was committed.
        self.commit_index = self.applying_index = self.applied_index = index
        self.last_term = term
        self.change_indexes = []

    def fitting(self, entries: tuple[Entry, ...], bytes_max: int) -> tuple[Entry, ...]:
        """The first of `entries` that memory has room for (checklist 98).

        All of them when everything committed is applied: to hold them back could make no room,
        and what is not committed yet is bounded by the leader.
        """
        if self.applied_index == self.commit_index:
            return entries
        size = self._tail_bytes
        # By payloads alone: they are what is large, and the rest is bounded by their number.
        for position, entry in enumerate(entries):
            size += len(entry.payload)
            if size > bytes_max:
                return entries[:position]
        return entries

    def take_committed(self, bytes_max: int, count_max: int) -> tuple[Entry, ...]:
        """Hand over committed entries that are durable here, each once (checklist 143).

        `count_max` bounds how many are handed over and not yet applied.
        """
        # A quorum may have committed what our own disk is still writing.  It waits: the state
        # machine must never be ahead of our log, or we could not start again after a crash.
        stop = self.vouched(min(self.commit_index, self.durable_index)) + 1
        stop = min(stop, self.applied_index + count_max + 1)
        try:
            entries = self.slice(self.applying_index + 1, bytes_max, stop)
        except MemoryError:
            # For what has to be read again.  Nothing was handed over, and the next Ready, with a
            # tick at the latest, asks anew.
            return ()
        if entries:
            assert entries[0].index == self.applying_index + 1, "no entry is skipped"
            self.applying_index = entries[-1].index
        return entries

    def invariants(self) -> None:
        """What holds between any two calls: the order in the header, and what follows from it."""
        assert (
            self._storage.first_index - 1
            <= self.applied_index
            <= self.applying_index
            <= self.commit_index
            <= self.last_index
        ), "storage.first_index - 1 <= applied <= applying <= committed <= last"
        # Or a crash would leave a state that its own log does not explain.
        assert self.applying_index <= self.durable_index, "what is applied is durable here"
        assert self.durable_index <= self.handed_index <= self.last_index, (
            "durable <= handed <= last"
        )
        # Nobody else has it: the storage gets it from a Ready, and a Ready from here.
        assert self.first_cached <= self.handed_index + 1, "what the disk lacks is in memory"
        assert self.first_cached + len(self._tail) == self.last_index + 1, "the tail is whole"
        assert self._tail_bytes >= 0, "only what is in memory is trimmed"
        changes = self.change_indexes
        # A position that stayed here would keep this node from campaigning for ever.
        assert not changes or self.applied_index < changes[0], "a change is applied, or waits"
        assert not changes or changes[-1] <= self.last_index, "a change on its way is in the log"

    def applied_to(self, index: int) -> None:
        """The state machine has applied everything up to `index`."""
        assert self.applied_index <= index <= self.applying_index, "applied moves forward"
        # Told by the state machine, never concluded: only it knows what it has durably.
        self.applied_index = index
        if self.change_indexes and self.change_indexes[0] <= index:
            self.change_indexes = [it for it in self.change_indexes if it > index]
        if self._tail_bytes > self._cache_bytes_max:
            self._trim()

    def _trim(self) -> None:
        """Drop the older half of what is durable and applied from memory."""
        # What is not durable is nowhere else, and what is not applied will be asked for soon.
        # Half, so that this is rare: to delete from the front of a list moves all the rest.
        droppable = min(self.applied_index, self.durable_index) - self.first_cached + 1
        count = 0
        while count < droppable and self._tail_bytes > self._cache_bytes_max // 2:
            self._tail_bytes -= len(self._tail[count].payload)
            count += 1
        del self._tail[:count]
        self.first_cached += count

    def is_up_to_date(self, last_term: int, last_index: int) -> bool:
        """Whether a log ending there is at least as new as ours (checklist 62)."""
        # "If the logs have last entries with different terms, then the log with the later term is
        # more up-to-date.  If the logs end with the same term, then whichever log is longer is
        # more up-to-date" (§3.6.1): tuples compare just so.  Length alone would elect a node that
        # took many entries of a leader which nobody followed.
        return (last_term, last_index) >= (self.last_term, self.last_index)

    def conflict_hint(self, index: int, term: int) -> tuple[int, int]:
        """The largest own (index, term) with index <= `index` and term <= `term` (checklist 70).

        The term is 0 when it is not known here any more.
        """
        index, first = min(index, self.last_index), self.first_index - 1
        # Compacted here, and so committed: as a place to look from it is as good without its term,
        # for no log of a leader can differ there.
        if index < first:
            return index, 0
        # Terms never decrease along the log, and it may be long: whoever asks decides how far back.
        known = range(first, index + 1)
        count = bisect_right(known, term, key=lambda at: self.term_at(at) or 0)
        if not count:
            return first - 1, 0
        return known[count - 1], self.term_at(known[count - 1]) or 0
