"""What can be asked about a member's files while it runs: copies, increments, defragmentation."""

import struct
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from roost.member.directory.home import Home
from roost.member.errors import HistoryTrimmed, OtherHistory, SnapshotFailed
from roost.member.snapshots.snapshots import Snapshots
from roost.outcome import ReadDone, told_read
from roost.raft import Core, Entry, EntryKind

# An increment is entries one after another: u64 index, u64 term, u8 kind, u32 length, payload.
ENTRY_HEAD = struct.Struct(">QQBI")
_PAGE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Defragmentation:
    """How far one is: nothing is written as long as what was applied is made durable first."""

    written_bytes: int
    total_bytes: int
    seconds: float


class Files:
    """The files of one member."""

    def __init__(self, core: Core, home: Home, snapshots: Snapshots) -> None:
        """Nothing is copied yet."""
        self._core = core
        self._home = home
        self._snapshots = snapshots

    def state_digest(self) -> bytes:
        """The digest of what the store holds durably."""
        return self._home.store.durable_digest()

    def defragment(self, done: ReadDone) -> None:
        """Rewrite the store's file without the pages it does not use; `done(error)` follows."""

        def leave(directory: Path) -> None:
            self._snapshots.spawn(self._snapshots.remove(directory))

        self._home.defragment(told_read(done), on_left=leave)

    def defragmentation(self) -> Defragmentation | None:
        """How far one is; None = there is none."""
        moving = self._home.moving
        if moving is None:
            return None
        try:
            written = (moving.directory / "data.mdb").stat().st_size
        except OSError:  # it is not made yet
            written = 0
        return Defragmentation(
            written_bytes=written,
            total_bytes=self._home.store.statistics().db_in_use_bytes,
            seconds=self._home.world.clock_s() - moving.began_s,
        )

    def make_durable(self, done: ReadDone) -> None:
        """Make everything applied so far durable in the store; `done(None)` follows."""
        tell = told_read(done)
        self._home.store.make_durable(lambda: tell(None))

    def lend_snapshot(self) -> AbstractAsyncContextManager[Path]:
        """A copy of the store that holds everything applied now; it is kept while it is used.

        Raises:
            SnapshotFailed: it could not be made.

        """
        return self._snapshots.copies.lend(self._core.applied_index)

    def cluster_id(self) -> int:
        """Whose the store is, as it says itself and a copy of it does."""
        return self._home.store.guid.int

    def is_behind(self, index: int) -> bool:
        """Whether nothing was applied behind an entry."""
        return self._core.applied_index <= index

    def path_for(self, name: str) -> Path:
        """Where a file may lie that is on its way; the next start of the member removes it."""
        return self._home.snapshot_directory / name

    def discard(self, path: Path) -> None:
        """Remove such a file."""
        self._snapshots.discard(path)

    async def entries_since(self, index: int, term: int) -> AsyncIterator[bytes]:
        """Applied entries behind `index`, which must be an entry of `term`, in pages.

        Raises:
            HistoryTrimmed: the journal has them no more.
            OtherHistory: the position is none of ours.

        """
        log = self._core.log
        if index > self._core.applied_index or log.term_at(index) not in (term, None):
            raise OtherHistory(f"{term}:{index} is no position of ours")
        stop = self._core.applied_index + 1
        first = index + 1
        while first < stop:
            if first < log.first_index:
                raise HistoryTrimmed(f"the journal begins at {log.first_index}")
            entries = log.slice(first, _PAGE_BYTES, stop)
            if not entries:
                raise SnapshotFailed(f"entry {first} is damaged and being repaired; try again")
            yield b"".join(map(_encode, entries))
            first = entries[-1].index + 1


def _encode(entry: Entry) -> bytes:
    head = ENTRY_HEAD.pack(entry.index, entry.term, entry.kind, len(entry.payload))
    return head + entry.payload


def decode_entries(blob: bytes) -> list[Entry]:
    """Split a page of an increment.

    Raises:
        ValueError: the bytes do not follow the format.

    """
    found: list[Entry] = []
    offset = 0
    while offset < len(blob):
        try:
            index, term, kind, length = ENTRY_HEAD.unpack_from(blob, offset)
        except struct.error as error:
            raise ValueError("an entry's head ends early") from error
        offset += ENTRY_HEAD.size
        if offset + length > len(blob) or kind >= len(EntryKind):
            raise ValueError(f"entry {index} ends early, or is of kind {kind}")
        found.append(Entry(index, term, EntryKind(kind), blob[offset : offset + length]))
        offset += length
    return found
