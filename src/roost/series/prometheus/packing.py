"""How Prometheus packs what it writes and reads: protobuf in a raw block of Snappy.

A block says at its beginning how long it is unpacked, so what is too long is refused before.
"""

from roost.exchange import Request
from roost.series.engine import Engine
from roost.series.prometheus.errors import BadQuery
from roost.series.prometheus.extra import DecompressionError, snappy

# As all bodies of points, unpacked; larger ones are unpacked on a thread.
BODY_BYTES_MAX, ASIDE_BYTES = 32 << 20, 64 << 10


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
