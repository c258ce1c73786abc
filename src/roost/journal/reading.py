"""Entries read back from their segments, while the journal is open.

The index says where an entry lies and what its checksum must be, so what comes back is what was
written, or it is damaged.  Damage that nobody knew of is met here first: the entry becomes
`damaged` then and there, and peers bring it back as one that was found at a start.
"""

import logging
from collections.abc import Sequence
from errno import EIO

from crc32c import crc32c

from roost.journal.disk import File
from roost.journal.errors import JournalDamaged
from roost.journal.index import Index, Place
from roost.journal.record import FRAME_HEAD_BYTES
from roost.journal.recovery import find_damage
from roost.journal.segment import Segment
from roost.raft.types import Entry, EntryKind

logger = logging.getLogger(__name__)
_KINDS = tuple(EntryKind)


def read_entries(
    index: Index, segments: Sequence[Segment], first: int, stop: int, bytes_max: int
) -> tuple[Entry, ...]:
    """Read entries up to `bytes_max` of payload, at least one.

    They end before the first damaged one, which may be the first.

    Raises:
        JournalDamaged: an entry has changed, and so has its slot: nobody can say what it was.

    """
    by_sequence = {segment.sequence: segment for segment in segments}
    found: list[Entry] = []
    size = 0
    for log_index in range(first, stop):
        place = index.place(log_index)
        size += place.length
        # At least one, however large: a page of nothing would be asked for again for ever.
        if (found and size > bytes_max) or log_index in index.damaged:
            break
        segment = by_sequence[place.sequence]
        assert segment.file is not None, "a segment with entries is open"
        payload = _read_payload(segment.file, place)
        if payload is None:
            # The index still says what it must be, from when it was written or opened.  To write
            # it anew, the frame's place in its batch is wanted as well, and only the slot has
            # that.
            damage = find_damage(segment, place)
            if damage is None:
                fact = "the payload and its slot changed"
                raise JournalDamaged(segment.path, 0, place.offset, fact)
            logger.error("entry %d has changed on the disk: %s", log_index, segment.path.name)
            index.damaged[log_index] = damage
            break
        found.append(Entry(log_index, place.term, _KINDS[place.kind], payload))
    return tuple(found)


def _read_payload(file: File, place: Place) -> bytes | None:
    """An entry's payload; None when it is not what it was."""
    try:
        payload = file.pread(place.length, place.offset + FRAME_HEAD_BYTES)
    except OSError as error:
        # A sector that cannot be read is damage like any other (J16): others have the entry.
        if error.errno != EIO:
            raise
        return None
    # Checked at each read, not once at the start: what the log hands out goes to other disks, and
    # rot that was replicated would be the truth (J19).
    if len(payload) != place.length or crc32c(payload) != place.payload_crc:
        return None
    return payload
