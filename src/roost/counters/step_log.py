"""A file that small steps are appended to, one write and one sync each; `logged` says what for.

    <directory>/steps     0600, FILE_BYTES of zeros when it is made, and never longer; format 1

A head of 32 bytes: magic b"RCSL", u32 format, 8 bytes of the id, u64 size of the file, 4 zeros, u32
crc32c of bytes 0 ... 27.  Behind it frames follow each other at multiples of 8 (little-endian):

     0  4x   magic b"RCST"
     4  u32  length of the payload
     8  u64  number: one more than the frame before
    16  u32  crc32c of the payload, begun with the id
    20  u32  crc32c of bytes 0 ... 19, begun with the id
    24       payload, then nothing up to the next multiple of 8

The last 16 bytes are the mark: u64 number, u32 crc32c of it, begun with the id, 4 zeros.  It says
behind which number the frames from the beginning on were written, and comes with the first of them;
of a file of before there was one, or of which all frames are still to come, it is 0.

The id is made by chance with the file: another directory's is told from it.  Whoever has put all
frames up to a number elsewhere writes on from the beginning, and says that number when the file is
opened.  What lies behind the newest frame are older ones, then, and their numbers tell.

One frame is on its way at a time.  So the last one may be torn, and is cut; behind one that is not
whole there can be none that is newer, else the file is damaged.  Blocks are written when the file
is made: a sync that follows a frame writes no metadata.

Limits: damage to the very last frame reads as a torn one.  What was told to a partner meanwhile is
missed there, and the directory found out as an old state (`Store.check_echo`).
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

from crc32c import crc32c

from roost.counters.errors import CounterStoreCorrupt
from roost.directories import sync_directory

NAME = "steps"
FILE_BYTES = 2 << 20
FILE_MAGIC, FORMAT = b"RCSL", 1
MAGIC = b"RCST"
_FILE = Struct("<4sI8sQ4x")
_HEAD = Struct("<4sIQI")
_CRC = Struct("<I")
_MARK = Struct("<QI4x")
HEAD_BYTES = _HEAD.size + _CRC.size
_MODE = 0o600

FIRST = _FILE.size + _CRC.size

assert (FIRST, HEAD_BYTES) == (32, 24), "frames and payloads begin at multiples of 8"


@dataclass(frozen=True, slots=True)
class Frame:
    """One that is whole."""

    number: int
    payload: bytes
    end: int


def frame_of(seed: int, number: int, payload: bytes) -> bytes:
    """A frame as it lies in the file."""
    head = _HEAD.pack(MAGIC, len(payload), number, crc32c(payload, seed))
    return b"".join((head, _CRC.pack(crc32c(head, seed)), payload, bytes(-len(payload) % 8)))


def read_frame(data: bytes, offset: int, seed: int) -> Frame | None:
    """The frame at an offset; None = there is none that is whole."""
    head = data[offset : offset + HEAD_BYTES]
    if len(head) < HEAD_BYTES or head[:4] != MAGIC:
        return None
    if crc32c(head[: _HEAD.size], seed) != _CRC.unpack_from(head, _HEAD.size)[0]:
        return None
    _magic, length, number, crc = _HEAD.unpack_from(head)
    begin = offset + HEAD_BYTES
    payload = data[begin : begin + length]
    if len(payload) < length or crc32c(payload, seed) != crc:
        return None
    return Frame(number, payload, begin + length + -length % 8)


class StepLog:
    """The file, open.  Errors of the device are `OSError`."""

    def __init__(self, descriptor: int, identity: bytes, size: int) -> None:
        """Use `make` or `open`."""
        self._descriptor = descriptor
        self._seed = crc32c(identity)
        self._size = size
        self._offset = FIRST
        # What is durable of it, and what is to be written with the next frame.
        self.mark = 0
        self._next_mark = 0

    @classmethod
    def make(cls, directory: Path, identity: bytes, size: int = FILE_BYTES) -> "StepLog":
        """Make it anew, durable with its name; whatever was there is gone."""
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(directory / NAME, flags, _MODE)
        made = cls(descriptor, identity, size)
        try:
            made._write(_head_of(identity, size) + bytes(size - FIRST), 0)
            os.fsync(descriptor)
            sync_directory(directory)
        except BaseException:
            made.close()
            raise
        return made

    @classmethod
    def open(cls, directory: Path, identity: bytes) -> "StepLog":
        """Open the one that is there.

        Raises:
            CounterStoreCorrupt: there is none, or it is another one, or was cut.

        """
        advice = (
            "the newest counts may be in it: put it back, or remove the directory, and let this"
            " member count under another name"
        )
        try:
            descriptor = os.open(directory / NAME, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError as error:
            raise CounterStoreCorrupt(f"{directory / NAME} is missing; {advice}") from error
        try:
            size = os.fstat(descriptor).st_size
            if os.pread(descriptor, FIRST, 0) != _head_of(identity, size):
                raise CounterStoreCorrupt(
                    f"{directory / NAME} is not the one that was made here; {advice}"
                )
            found = cls(descriptor, identity, size)
            found._read_mark()
        except BaseException:
            os.close(descriptor)
            raise
        return found

    def _read_mark(self) -> None:
        mark = os.pread(self._descriptor, _MARK.size, self._size - _MARK.size)
        number = int.from_bytes(mark[:8], "little")
        if mark == self._mark_of(number):
            self.mark = self._next_mark = number

    def _mark_of(self, number: int) -> bytes:
        return _MARK.pack(number, crc32c(number.to_bytes(8, "little"), self._seed))

    def frames(self, number: int) -> Iterator[Frame]:
        """What is there behind a number, from the oldest on; what was torn is left out.

        Raises:
            CounterStoreCorrupt: one is not whole, and one behind it is newer.

        """
        data = os.pread(self._descriptor, self._size, 0)
        offset = FIRST
        while (found := read_frame(data, offset, self._seed)) and found.number == number + 1:
            yield found
            number, offset = found.number, found.end
        at = data.find(MAGIC, offset)
        while at >= 0:
            newer = read_frame(data, at, self._seed) if at % 8 == 0 else None
            if newer is not None and newer.number > number:
                raise CounterStoreCorrupt(
                    f"step {number + 1} in {NAME} is damaged, and step {newer.number} is there"
                )
            at = data.find(MAGIC, at + 1)

    def has_room(self, length: int) -> bool:
        """Whether a payload of so many bytes fits behind the last one."""
        return self._offset + HEAD_BYTES + length + 8 <= self._size - _MARK.size

    def append(self, number: int, payload: bytes) -> None:
        """Write one behind the last; durable on return."""
        assert self.has_room(len(payload)), "whoever appends has asked"
        frame = frame_of(self._seed, number, payload)
        if self._next_mark != self.mark:
            self._write(self._mark_of(self._next_mark), self._size - _MARK.size)
        self._write(frame, self._offset)
        os.fdatasync(self._descriptor)
        self.mark = self._next_mark
        self._offset += len(frame)

    def begin_again(self, number: int) -> None:
        """All up to a number is elsewhere, durably: write on from the beginning."""
        self._offset = FIRST
        self._next_mark = number

    def _write(self, data: bytes, offset: int) -> None:
        rest = memoryview(data)
        while rest:
            count = os.pwrite(self._descriptor, rest, offset)
            if count == 0:
                raise OSError("a write made no progress")
            rest, offset = rest[count:], offset + count

    def close(self) -> None:
        """Give the descriptor back; once."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _head_of(identity: bytes, size: int) -> bytes:
    head = _FILE.pack(FILE_MAGIC, FORMAT, identity, size)
    return head + _CRC.pack(crc32c(head))
