"""Which segments count: the record `catalog` (see `twin`), in JSON.

    segments      of each its number in the sequence, its first entry and its epoch, in order
    floor_index   the entry just below the oldest one kept, and its term: what was compacted away,
    floor_term    or what a snapshot holds
    clean         the journal was stopped in order: nothing in it is torn
    boot          under which boot and mount it was written: the same again means that the page
                  cache has survived since
    starts        how often the journal was opened
    is_fenced     the end of the log was lost, and with it what this member had promised

The manifest is the only thing that says what the directory holds.  A file that it does not name
is not part of the log, whatever stands in it, and is moved to `lost/` (J30).
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from roost.errors import UNDECODABLE
from roost.journal.disk import Disk
from roost.journal.errors import JournalDamaged
from roost.journal.segment import Segment
from roost.journal.twin import Twin
from roost.raft.types import Count, Id


class SegmentName(msgspec.Struct, frozen=True):
    """A segment as the manifest names it."""

    sequence: Count
    first_index: Count
    epoch: Id


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is written; see the top of this file."""

    segments: tuple[SegmentName, ...] = ()
    floor_index: Count = 0
    floor_term: Count = 0
    clean: bool = False
    boot: str = ""
    starts: Count = 0
    is_fenced: bool = False


class ManifestRecord:
    """The record and its two files; `held` is what was loaded, or is to be saved next."""

    def __init__(self, disk: Disk, directory: Path) -> None:
        """Open the files; nothing is loaded."""
        self._twin = Twin(disk, directory, "catalog")
        self._path = directory / "catalog.a"
        self._boot = ""
        self.held = Manifest()
        # Whether nothing in the segments can be torn: the last stop was in order.  True of a new
        # journal.  It stays as it was read, whatever is saved meanwhile.
        self.was_clean = True
        # Whether what was written since the last start still stands in the page cache.
        self.is_cache_alive = False

    def load(self, boot: str) -> None:
        """Read what was saved last, and count this start; `boot` is empty when nobody can say.

        Raises:
            JournalDamaged: neither copy can be read.

        """
        body = self._twin.load()
        if body is not None:
            try:
                self.held = msgspec.json.decode(body, type=Manifest)
            except UNDECODABLE as error:
                raise JournalDamaged(self._path, 0, 0, f"the catalogue: {error}") from error
            # Believed once, now: the first save of this start takes the word back, so that a crash
            # after it is no clean stop.
            self.was_clean = self.held.clean
        self._boot = boot
        # Two empty ones are not the same boot: where nobody can say, the cache counts for lost.
        self.is_cache_alive = bool(boot) and self.held.boot == boot
        # Counted in memory, and durable with the first save of this start.  A start that ends
        # before it has changed nothing that the number would have to tell apart: incarnations
        # are made of it, and none was told to anybody.
        self._change(starts=self.held.starts + 1)

    def note_floor(self, index: int, term: int) -> None:
        """Entries are kept behind this one; said to the disk by the next `save`."""
        self._change(floor_index=index, floor_term=term)

    def note_fence(self, *, is_fenced: bool) -> None:
        """The end of the log was lost, or is whole again; said to the disk by the next `save`."""
        self._change(is_fenced=is_fenced)

    def save(self, segments: Sequence[Segment], *, is_clean: bool, is_certain: bool) -> None:
        """Name those of `segments` that have a file, durably.

        `is_certain`: no entry is in doubt, see `Damage`.
        """
        # A segment without a file is decided on and not made yet.  To name it would be to miss it
        # at the next start.
        names = tuple(
            SegmentName(it.sequence, it.first_index, it.epoch)
            for it in segments
            if it.file is not None
        )
        # While an entry is in doubt the record stays one of an unclean stop, under the boot in
        # which it was torn.  Else the next start would take a clean stop, or its page cache, for
        # proof that the entry was durable once, and ask the others for what nobody ever had.
        boot = self._boot if is_certain else self.held.boot
        self._change(segments=names, clean=is_clean and is_certain, boot=boot)
        self._twin.save(msgspec.json.encode(self.held))

    def _change(self, **changes: object) -> None:
        self.held = msgspec.structs.replace(self.held, **changes)

    def close(self) -> None:
        """Close both files."""
        self._twin.close()
