"""The durable log of a bare core, in memory.

It passes what any `raft.log.Storage` must (`roost.sim.conformance`), as the journal does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from roost.raft import Entry, EntryKind


@dataclass(slots=True)
class MemoryStorage:
    """A log in memory, with a floor below which it was compacted, and entries that rotted."""

    log: list[Entry] = field(default_factory=list)
    damaged: set[int] = field(default_factory=set)
    floor_index: int = 0
    floor_term: int = 0

    @property
    def first_index(self) -> int:
        """The oldest entry kept."""
        return self.floor_index + 1

    @property
    def last_index(self) -> int:
        """The newest entry written."""
        return self.floor_index + len(self.log)

    def term_at(self, index: int) -> int | None:
        """The term of an entry; None when compacted or beyond the end."""
        if index == self.floor_index:
            return self.floor_term
        position = index - self.floor_index - 1
        return self.log[position].term if 0 <= position < len(self.log) else None

    def entries(self, first: int, stop: int, bytes_max: int) -> tuple[Entry, ...]:
        """Entries from `first`, before `stop`, at least one, up to `bytes_max`."""
        begin = first - self.floor_index - 1
        found = self.log[begin : stop - self.floor_index - 1]
        size = 0
        kept: list[Entry] = []
        for entry in found:
            size += len(entry.payload)
            if (kept and size > bytes_max) or entry.index in self.damaged:
                break
            kept.append(entry)
        return tuple(kept)

    @property
    def first_damaged(self) -> int:
        """The oldest entry that rotted; 0 when there is none."""
        return min(self.damaged, default=0)

    def changes_after(self, index: int) -> list[int]:
        """Where changes of the configuration stand behind `index`."""
        kind = EntryKind.CONFIGURATION
        return [it.index for it in self.log if it.kind is kind and it.index > index]

    def drop_to(self, index: int) -> None:
        """Compact everything up to `index`."""
        term = self.term_at(index)
        assert term is not None
        del self.log[: index - self.floor_index]
        self.floor_index, self.floor_term = index, term
        self.damaged = {it for it in self.damaged if it > index}

    def begin_behind(self, index: int, term: int) -> None:
        """Forget everything; the next entry follows `index`."""
        self.log.clear()
        self.damaged.clear()
        self.floor_index, self.floor_term = index, term

    def lose_from(self, index: int) -> None:
        """The end of the log is gone."""
        del self.log[index - self.floor_index - 1 :]
        self.damaged = {it for it in self.damaged if it < index}

    def write(self, entries: Sequence[Entry]) -> None:
        """Put entries in their places, instead of whatever was there and behind."""
        if entries:
            first = entries[0].index
            assert self.first_index <= first <= self.last_index + 1, "entries follow what is there"
            del self.log[first - self.floor_index - 1 :]
            self.damaged = {it for it in self.damaged if it < first}
            self.log += entries
