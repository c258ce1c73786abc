"""Batches: what `Journal.prepare` decided and `Journal.write` carries out.

Everything that can be decided is decided in memory, in the loop, before the device is touched:
which segments, at which offsets, which bytes.  What is left for `write` has no choices in it, so
it can run in a thread that knows nothing of entries.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from roost.journal import segment as segments
from roost.journal.segment import Segment
from roost.raft.types import HardState


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalConfig:
    """Sizes in bytes; `entropy` draws a segment's epoch."""

    segment_bytes: int = 16 << 20
    # Two megabytes of slots, for entries that take some 450 bytes of the file each.  Smaller ones
    # fill the slots before the file, and it is then rolled early.
    slot_count: int = 32_768
    prepares_ahead: bool = True
    entropy: Callable[[], int] = field(default=lambda: secrets.randbits(64))


class Write:
    """The part of a batch that goes into one segment.

    Frames and slots are kept as the buffers they are: a payload is not copied between the socket
    and the device.
    """

    __slots__ = ("frames", "frames_offset", "is_new", "segment", "slots", "slots_offset")

    def __init__(self, segment: Segment, *, is_new: bool) -> None:
        """Nothing yet, behind all that the segment has."""
        self.segment = segment
        # Then its file is made by `write`, and named by the manifest before anything is in it.
        self.is_new = is_new
        # Where the first of each goes; the rest follows without a gap, so that a batch is two
        # writes and one sync a segment.
        self.frames_offset = segment.offset
        self.slots_offset = segment.slot_offset(segment.position)
        self.frames: list[bytes] = []
        self.slots: list[bytes] = []

    @property
    def size(self) -> int:
        """Bytes of its frames, as long as nothing is prepared after it."""
        return self.segment.offset - self.frames_offset


class Batch:
    """What `prepare` decided and `write` carries out."""

    __slots__ = ("hard_state", "last_index", "writes")

    def __init__(self, hard_state: HardState | None, writes: list[Write], last_index: int) -> None:
        """`last_index` may be promised when it is written."""
        # None when it did not change: two files and two syncs are spared.
        self.hard_state = hard_state
        # In order; more than one where the batch goes on in a new segment.
        self.writes = writes
        self.last_index = last_index

    @property
    def size(self) -> int:
        """Bytes of all its frames, as long as nothing is prepared after it."""
        return sum([it.size for it in self.writes])


def begin_segment(
    directory: Path, before: Segment | None, index: int, length: int, config: JournalConfig
) -> Segment:
    """The segment that follows `before`, from entry `index` on; its file is made by `write`.

    It has room for a payload of `length`, however large: an entry is never parted.
    """
    return Segment(
        segments.segment_path(directory, before.sequence + 1 if before else 1, index),
        before.sequence + 1 if before else 1,
        # Drawn anew for each file, so that bytes of an older life of the same blocks, whole
        # frames with good checksums among them, are never taken for this one's (J2).
        config.entropy(),
        index,
        config.slot_count,
        segments.size_for(length, config.slot_count, config.segment_bytes),
        # The seal of the one before (J28): that many frames it has, so that a frame that is
        # missing at its end is missing, and not one that was never written.
        before.position if before else 0,
    )
