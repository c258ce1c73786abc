"""How Prometheus packs what it writes and reads: protobuf in a raw block of Snappy.

A block says at its beginning how long it is unpacked, so what is too long is refused before.

A message is decoded in parts, as its fields stand one after the other: all at once thirty megabytes
would hold the loop for half a second.
"""

from collections.abc import Iterator

from roost.exchange import Request
from roost.series.engine import Engine
from roost.series.prometheus.errors import BadQuery
from roost.series.prometheus.extra import DecompressionError, snappy

# As all bodies of points, unpacked; larger ones are unpacked on a thread.
BODY_BYTES_MAX, ASIDE_BYTES = 32 << 20, 64 << 10
# A part has no more bytes than that, nor more fields; a field that is longer is a part by itself.
# One whose length is not a byte takes as long as so many.
PART_BYTES, PART_FIELDS, ODD_FIELDS = 32 << 10, 1000, 4
# Of a field whose length stands before it.
_BYTES = 2


def packed_kind(request: Request) -> bytes:
    """The message that a request says it is, `""` when it does not say it.

    Raises:
        BadQuery: it is packed in another way.

    """
    coding = request.headers.get(b"content-encoding", b"snappy").strip().lower()
    if coding != b"snappy":
        raise BadQuery(f"content-encoding {coding.decode('latin-1')!r}: snappy")
    kind, *words = (it.strip() for it in request.headers.get(b"content-type", b"").split(b";"))
    if kind.lower() not in (b"", b"application/x-protobuf"):
        raise BadQuery(f"content-type {kind.decode('latin-1')!r}: application/x-protobuf")
    said = dict(it.partition(b"=")[::2] for it in words)
    return said.get(b"proto", b"")


def unpack(body: bytes) -> bytes:
    """A block, unpacked.

    Raises:
        BadQuery: it is none, or too long.

    """
    try:
        size = snappy.decompress_raw_len(body)
        if size > BODY_BYTES_MAX:
            raise BadQuery(f"the body is longer than {BODY_BYTES_MAX} bytes")
        return bytes(snappy.decompress_raw(body))
    except DecompressionError as error:
        raise BadQuery(f"the body is no block of Snappy: {error}") from error


async def unpacked(engine: Engine, request: Request) -> bytes:
    """The body of a request.

    Raises:
        BadQuery: it is none, or too long.

    """
    if len(request.body) <= ASIDE_BYTES:
        return unpack(request.body)
    return await engine.aside(lambda: unpack(request.body))


def pack(data: bytes) -> bytes:
    """A block."""
    return bytes(snappy.compress_raw(data))


def parts_of(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """A message in parts: 0 and some of its fields, or the number of a long one and what is in it.

    Raises:
        BadQuery: it is none.

    """
    begin = at = count = 0
    end = len(data)
    while at < end:
        if at + 1 < end and (tag := data[at]) < 0x80 and tag & 7 == _BYTES and data[at + 1] < 0x80:
            stop, fields = at + 2 + data[at + 1], 1  # as nearly all are
        else:
            tag, content = _varint(data, at)
            stop, fields = _end_of(data, tag & 7, content), ODD_FIELDS
        if stop > end:
            raise BadQuery("the body is no message: it ends within a field")
        is_long = stop - at > PART_BYTES
        if at > begin and (is_long or stop - begin > PART_BYTES or count >= PART_FIELDS):
            yield 0, data[begin:at]
            begin, count = at, 0
        if is_long:
            tag, content = _varint(data, at)
            yield tag >> 3, data[_varint(data, content)[1] : stop]
            begin = stop
        at, count = stop, count + fields
    if at > begin:
        yield 0, data[begin:at]


def _end_of(data: memoryview, kind: int, at: int) -> int:
    """Where a field ends whose content begins there."""
    match kind:
        case 2:  # _BYTES
            size, content = _varint(data, at)
            return content + size
        case 0:
            return _varint(data, at)[1]
        case 1 | 5:
            return at + (8 if kind == 1 else 4)
        case _:
            raise BadQuery(f"the body is no message: a field of kind {kind}")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = shift = 0
    for place in range(at, min(at + 10, len(data))):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place + 1
        shift += 7
    raise BadQuery("the body is no message: a number does not end")
