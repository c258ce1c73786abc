"""Frames on a peer link.  Sans I/O; integers big-endian.

    0  2x   magic b"RP"
    2  u8   kind: below 240 the owner's, 240 and above ours (`frame`)
    3  u8   zero
    4  u32  length of the body, at most the reader's limit
    8  u32  crc32c of the body
   12  u32  crc32c of the twelve bytes before
   16       body

The head has a checksum of its own: a length that was changed on its way would be believed until so
many bytes had come, and with little traffic they never come (`roost sim --seed 400360`).  The
length is checked before anything is allocated.
"""

from collections.abc import Sequence
from struct import Struct
from typing import Final

from crc32c import crc32c

from roost.peer.errors import MalformedFrame

MAGIC: Final = b"RP"
HEAD: Final = Struct(">2sBBIII")
_BARE: Final = Struct(">2sBBII")
# A small frame is one buffer: copying it costs less than a vector for the socket.
JOINED_BYTES_MAX: Final = 16 << 10


def encode(kind: int, buffers: Sequence[bytes]) -> list[bytes]:
    """A frame whose body is `buffers` one after another; large ones are not copied."""
    if len(buffers) != 1 and sum(map(len, buffers)) <= JOINED_BYTES_MAX:
        buffers = [b"".join(buffers)]
    length = crc = 0
    for buffer in buffers:
        length += len(buffer)
        crc = crc32c(buffer, crc)
    bare = _BARE.pack(MAGIC, kind, 0, length, crc)
    head = bare + crc32c(bare).to_bytes(4, "big")
    return [head + buffers[0]] if length <= JOINED_BYTES_MAX else [head, *buffers]


_NO_FRAMES = {
    b"\x16\x03": "these bytes are TLS: here peer URLs are http, and must be https on all members",
    b"\x15\x03": "it answers by TLS: here its peer URL is http, and must be https on all members",
    b"GET /roost/peer": "it asks for an upgrade, which is not set here: --peer-http-upgrade is set "
    "on all members, or on none",
    b"GET ": "a client's request over HTTP: clients are served at the client URLs",
    b"POST ": "a client's request over HTTP: clients are served at the client URLs",
    b"PRI * HTTP": "a client's request over gRPC: clients are served at the client URLs",
    b"HTTP/": "it answers by HTTP: that is a client URL, not a peer URL",
}


def _what_it_is(data: bytes | bytearray) -> str:
    """Name what is no frame, where it is something that people mix up with one."""
    for begin, said in _NO_FRAMES.items():
        if data.startswith(begin):
            return said
    if data.startswith(MAGIC):
        return "the checksum of a frame's head does not match"
    return "these bytes are no frame"


def _check(crc: int, wanted: int) -> None:
    if crc != wanted:
        raise MalformedFrame("the checksum of a frame's body does not match")


class FrameReader:
    """Splits a byte stream into frames; `body_bytes_max` bounds what it ever holds."""

    def __init__(self, body_bytes_max: int) -> None:
        """Start at a frame's first byte."""
        self.body_bytes_max = body_bytes_max
        # Of a frame whose head has come: what of its body is there, and how much is not.
        self._begun: tuple[int, int] | None = None  # its kind, its body's checksum
        self._parts: list[bytes] = []
        self._missing_bytes = 0
        # Of the parts: each is summed as it comes, for a body of 60 MiB takes 20 ms in one go.
        self._crc = 0
        # Of a frame whose head has not: the head's beginning.
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take bytes; return the frames they complete as (kind, body).

        Raises:
            MalformedFrame: no frame can begin or end like that; the link must be closed.

        """
        frames: list[tuple[int, bytes]] = []
        offset, head_bytes = 0, HEAD.size
        if self._begun is not None:
            offset = self._missing_bytes
            if len(data) < offset:
                self._keep(data)
                return frames
            kind, body_crc = self._begun
            self._keep(data[:offset])
            _check(self._crc, body_crc)
            frames.append((kind, b"".join(self._parts)))
            self._begun = None
            self._parts.clear()
        elif self._rest:
            data = self._rest + data
        self._rest = b""
        end = len(data)
        while end - offset >= head_bytes:
            magic, kind, zero, length, body_crc, head_crc = HEAD.unpack_from(data, offset)
            if crc32c(data[offset : offset + _BARE.size]) != head_crc or magic != MAGIC or zero:
                raise MalformedFrame(_what_it_is(data[offset:]))
            if length > self.body_bytes_max:
                raise MalformedFrame(f"a frame of {length} bytes; {self.body_bytes_max} are taken")
            body_offset = offset + head_bytes
            stop = body_offset + length
            if stop > end:
                self._begun, self._missing_bytes, self._crc = (kind, body_crc), length, 0
                self._keep(data[body_offset:])
                return frames
            body = data[body_offset:stop]
            _check(crc32c(body), body_crc)
            frames.append((kind, body))
            offset = stop
        self._rest = data[offset:]
        return frames

    def _keep(self, data: bytes) -> None:
        """Keep a part of a body, which is copied once, when all of it is there.

        Small parts are joined, so that a body that comes by single bytes takes no more than its
        bytes and a little.
        """
        self._missing_bytes -= len(data)
        self._crc = crc32c(data, self._crc)
        parts = self._parts
        if parts and len(parts[-1]) + len(data) <= JOINED_BYTES_MAX:
            parts[-1] += data
        else:
            parts.append(data)

    def end(self) -> None:
        """Nothing more will come.

        Raises:
            MalformedFrame: what did come, and was too short for a frame, is something else.

        """
        if self._rest and _what_it_is(self._rest) in _NO_FRAMES.values():
            raise MalformedFrame(_what_it_is(self._rest))
