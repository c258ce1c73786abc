"""etcd's write-ahead log: what a data directory knows that its store may not (etcd: storage/wal).

    member/wal/<16 hex: number of the file>-<16 hex: first index>.wal

    frame    u64 little-endian: bytes of the record in the lower 56 bits; when the highest bit is
             set, the three above them say how many bytes of padding follow.  0 = nothing more here
    record   walpb.Record: 1 type, 2 CRC-32C of all data so far, 3 data
    types    1 metadata, 2 raftpb.Entry, 3 raftpb.HardState, 4 a CRC to go on with, 5 a snapshot
    entry    1 type (0 = a request), 2 term, 3 index, 4 data
    state    1 term, 2 vote, 3 commit

etcd applies entries to its store in memory, and commits that ten times a second, so behind a member
that was killed lie entries that its store does not have.  `LogFiles.entries` reads them, and
`replay` and `v2_replay` carry them out.

**The end.**  A record that was being written when the power went is *torn*: it ends with the newest
file, or a sector of it was never written, and nothing stands behind it.  Nobody was told that it is
there, for that is done when it is synced; so it is left out.  Every other record that is not what
was written is *damage*: it hides what may have been acknowledged.

**What is not known to be committed** is read, too.  A member syncs entries before it says so, and
writes down later that they are committed; one alone never hears it from others.  So the last
entries may have been acknowledged.  Whoever sent one that was not, was told nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

from crc32c import crc32c

from roost.moving.errors import EtcdFileDamaged
from roost.moving.fields import Fields, fields_of, number_of

_FRAME = Struct("<Q")
_FRAME_BYTES = 8
_RECORD_BYTES_MAX = 1 << 30
_SECTOR_BYTES = 512
_METADATA, _ENTRY, _STATE, _CRC, _SNAPSHOT = 1, 2, 3, 4, 5
_KINDS = range(_METADATA, _SNAPSHOT + 1)
# A request; others are changes of members.
NORMAL = 0


@dataclass(frozen=True, slots=True)
class _Record:
    """Type and data of a record, and the CRC of all data up to there."""

    kind: int
    data: bytes
    crc: int


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the log; `kind` is NORMAL, or that of a change of members."""

    index: int
    kind: int
    data: bytes


class LogFiles:
    """The files of a log."""

    def __init__(self, directory: Path) -> None:
        """Nothing is read yet."""
        self._paths = sorted(it for it in directory.iterdir() if it.suffix == ".wal")
        # Of the record at the end that was being written; known when all is read.
        self.torn_bytes = 0

    def entries(self, index: int) -> Iterator[Entry]:
        """Entries behind `index`, in order and without a gap.

        Those that wait for what follows are held: that are few, for a member writes down how far
        its log is committed with nearly every entry.

        Raises:
            EtcdFileDamaged: a file is not as etcd leaves it, or entries are missing.
            OSError: a file cannot be read.

        """
        waiting: dict[int, Entry] = {}
        newest: int | None = None
        final = index
        for path, record in self._records():
            if record.kind == _SNAPSHOT:
                newest = max(newest or 0, number_of(fields_of(record.data, path), 1, path))
            elif record.kind == _STATE:
                committed = number_of(fields_of(record.data, path), 3, path)
                while final < committed and final + 1 in waiting:
                    final += 1
                    yield waiting.pop(final)
            elif record.kind == _ENTRY:
                entry = _entry_of(record.data, path)
                # The type of a record has no checksum: one that passes for another leaves a gap.
                if newest is not None and entry.index > newest + 1:
                    raise EtcdFileDamaged(
                        f"{path}: entry {entry.index} stands behind entry {newest}"
                    )
                newest = entry.index
                if entry.index <= index:
                    continue
                if entry.index <= final:
                    raise EtcdFileDamaged(
                        f"{path}: entry {entry.index} is there again, and was committed"
                    )
                # It takes the place of one that was never committed, and of all behind it.
                for stale in [it for it in waiting if it >= entry.index]:
                    del waiting[stale]
                if entry.index - 1 not in waiting and entry.index - 1 != final:
                    raise EtcdFileDamaged(
                        f"{path}: entry {entry.index} is there, and entry "
                        f"{max(waiting, default=final) + 1} is not"
                    )
                waiting[entry.index] = entry
        yield from waiting.values()

    def _records(self) -> Iterator[tuple[Path, _Record]]:
        """The records of all files, each of which goes on with the CRC of the one before it."""
        crc = 0
        for path in self._paths:
            data = path.read_bytes()
            offset = 0
            while offset < len(data):
                if not any(data[offset : offset + _FRAME_BYTES]) and not data[offset:].strip(b"\0"):
                    break  # etcd sets space aside for a file
                stop = _stop_of(data, offset)
                record = None if stop is None else _record(data, offset, crc, path)
                if stop is None or record is None:
                    self._check_torn(path, data, offset, stop)
                    break
                crc = record.crc
                yield path, record
                offset = stop

    def _check_torn(self, path: Path, data: bytes, offset: int, stop: int | None) -> None:
        """Note that the log ends here with what was being written.

        Raises:
            EtcdFileDamaged: it does not.

        """
        if path == self._paths[-1] and _is_torn(data, offset, stop):
            self.torn_bytes = len(data.rstrip(b"\0")) - offset
            return
        raise EtcdFileDamaged(
            f"{path}: the record at {offset} is not what was written, and it is not the end of the "
            "log that was cut off"
        )


def _stop_of(data: bytes, offset: int) -> int | None:
    """Where a record ends, with its padding; None when the file ends before."""
    if offset + _FRAME_BYTES > len(data):
        return None
    (told,) = _FRAME.unpack_from(data, offset)
    size = told & ((1 << 56) - 1)
    padding = told >> 56 & 7 if told >> 63 else 0
    stop = offset + _FRAME_BYTES + size + padding
    return stop if size <= _RECORD_BYTES_MAX and stop <= len(data) else None


def _is_torn(data: bytes, offset: int, stop: int | None) -> bool:
    """Whether a record that is not what was written is one that was not written to its end."""
    end = len(data.rstrip(b"\0"))
    # What says how long it is may be what has changed: then records stand where it should go on.
    places = range(offset + _FRAME_BYTES, end, _FRAME_BYTES)
    if any(_may_begin(data, it) for it in places):
        return False
    if stop is None:
        return True
    if end > stop:
        return False
    begin = offset
    while begin < stop:
        sector_end = min(begin - begin % _SECTOR_BYTES + _SECTOR_BYTES, stop)
        if not any(data[begin:sector_end]):
            return True
        begin = sector_end
    return False


def _may_begin(data: bytes, offset: int) -> bool:
    """Whether a record seems to begin there: what it holds is not looked at."""
    stop = _stop_of(data, offset)
    if stop is None or stop % _FRAME_BYTES:
        return False
    head = data[offset + _FRAME_BYTES : min(stop, offset + _FRAME_BYTES + 3)]
    return len(head) == 3 and head[0] == 1 << 3 and head[1] in _KINDS and head[2] == 2 << 3


def _record(data: bytes, offset: int, crc: int, path: Path) -> _Record | None:
    """Read a record; None when that is not what was written.

    Raises:
        EtcdFileDamaged: it goes on with another CRC than the file before it ended with.

    """
    (told,) = _FRAME.unpack_from(data, offset)
    begin = offset + _FRAME_BYTES
    try:
        fields = fields_of(data[begin : begin + (told & ((1 << 56) - 1))], path)
        kind, said = number_of(fields, 1, path), number_of(fields, 2, path)
        body = fields.get(3, b"")
    except EtcdFileDamaged:
        return None
    if kind == _CRC:
        if crc not in (0, said):
            raise EtcdFileDamaged(f"{path}: it does not follow the file before it")
        return _Record(kind, b"", said)
    if kind not in _KINDS or not isinstance(body, bytes) or crc32c(body, crc) != said:
        return None
    return _Record(kind, body, said)


def _entry_of(data: bytes, path: Path) -> Entry:
    fields: Fields = fields_of(data, path)
    index = number_of(fields, 3, path)
    body = fields.get(4, b"")
    if not isinstance(body, bytes):
        raise EtcdFileDamaged(f"{path}: entry {index} has no data")
    return Entry(index, number_of(fields, 1, path), body)
