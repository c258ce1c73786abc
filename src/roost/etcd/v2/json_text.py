"""JSON as Go writes it: HTML's characters escaped, each byte that is no UTF-8 as U+FFFD.

Names and values of v2 are any bytes; what is stored is what came, and only its text is mended.
A byte may take six, and about a tenth of a microsecond: so what is long is written in pieces (D14).
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

_PLAIN: Final = re.compile(rb"[ !#-%'-;=?-\[\]-~\x7f]*")
_ESCAPES = {it: f"\\u{it:04x}" for it in (*range(0x20), 0x2028, 0x2029, *b"<>&")}
_ESCAPES |= {ord('"'): '\\"', ord("\\"): "\\\\", 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t"}
# What `surrogateescape` makes of bytes that are no UTF-8.
_ESCAPES |= dict.fromkeys(range(0xDC80, 0xDD00), "\\ufffd")
# Of what is written, in one step: a millisecond at the most.
PIECE_BYTES: Final = 8 << 10
# A character has so many bytes behind its first, at most.
_CONTINUED_MAX: Final = 3
_NS: Final = 1_000_000_000
# What shorter lengths are counted in, and how many nanoseconds each has.
_SHORT = (("ms", 1_000_000), ("\u00b5s", 1000), ("ns", 1))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def quoted(data: bytes) -> bytes:
    """A string."""
    return b'"%b"' % _escaped(data)


def message_json(text: str) -> bytes:
    """What is wrong, where it has no code (etcd: httptypes.HTTPError)."""
    return b'{"message":%b}' % quoted(text.encode(errors="replace"))


def quoted_pieces(data: bytes, size: int = PIECE_BYTES) -> Iterator[bytes]:
    """A string, piece by piece, each of so many bytes of what it says."""
    yield b'"'
    start = 0
    while len(data) - start > size:
        stop = start + size
        # What belongs to one character is not parted; what belongs to none may be.
        behind = range(stop, stop - _CONTINUED_MAX - 1, -1)
        stop = next((it for it in behind if data[it] & 0xC0 != 0x80), stop)
        yield _escaped(data[start:stop])
        start = stop
    yield _escaped(data[start:])
    yield b'"'


def _escaped(data: bytes) -> bytes:
    if _PLAIN.fullmatch(data):
        return data
    return data.decode(errors="surrogateescape").translate(_ESCAPES).encode()


def seconds_left(expires_ns: int, now_ns: int) -> int:
    """Time to live in seconds, rounded up."""
    return -((now_ns - expires_ns) // _NS)


def duration_text(length_ns: int) -> str:
    """A length of time as Go writes it: 1h2m3.5s, 250ms."""
    if length_ns < _NS:
        unit, size = next((it for it in _SHORT if length_ns >= it[1]), ("s", 1))
        return f"{length_ns / size:.9f}".rstrip("0").rstrip(".") + unit
    minutes, rest_ns = divmod(length_ns, 60 * _NS)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest_ns // _NS}.{rest_ns % _NS:09}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


def date_text(at_ns: int) -> bytes:
    """A moment since 1970 in UTC, as RFC 3339 with as many digits behind the second as it has."""
    seconds, rest = divmod(at_ns, _NS)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:09}".rstrip("0").rstrip(".").encode() + b"Z"
