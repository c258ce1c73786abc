"""What operations answered, kept for whoever asks again: `run(..., once="a key of yours")`.

    $once   "k", key        ->  MessagePack `Kept`: what was asked, when, and the answer
            "s", u64        ->  the key that was kept as number so-and-so, oldest first
            "l"             ->  u64, a number below which none is kept; traces of what was removed
                                since the last flush lie there, and are not walked over

The row is written in the write set of the operation itself: both are there, or neither.  A refusal
writes nothing and is not kept, so a retry asks again.  What is too old, or too many, goes with the
next operation that is kept, a few at a time.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from hashlib import blake2b
from struct import Struct

import msgspec

from roost.database.answers import Asked
from roost.database.errors import KeyTooLarge, OnceTaken
from roost.database.limits import Limits
from roost.database.rows import Rows

TREE = "$once"
_KEYS = "once"
KEY_BYTES_MAX = 256
# How many rows of the past one operation removes: more than it adds, so the window gets narrower.
REMOVED_MAX = 4
# A millisecond of reading what a long operation was asked with.
DIGESTED_BYTES = 1 << 20
_PLACE, _LOW = Struct(">cQ"), Struct(">Q")
_LOW_KEY = b"l"


class Kept(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One answer: the digest of what was asked, seconds since 1970, its number, the result."""

    asked: bytes
    at_s: float
    number: int
    result: bytes


@dataclass(frozen=True, slots=True)
class _Found:
    """What is kept for a key: the answer, or one that is too old to be given."""

    key: bytes
    digest: bytes
    answer: bytes | None = None
    stale: Kept | None = None


_decoder = msgspec.msgpack.Decoder(Kept)


def digest_of(asked: Asked) -> bytes:
    """What tells one question from another."""
    digest = blake2b(asked.name.encode() + b"\0", digest_size=16)
    digest.update(asked.arguments)
    return digest.digest()


def _digest_in_slices(asked: Asked) -> Generator[None, None, bytes]:
    """The same, some of it at a time."""
    digest = blake2b(asked.name.encode() + b"\0", digest_size=16)
    for begin in range(0, len(asked.arguments), DIGESTED_BYTES):
        digest.update(asked.arguments[begin : begin + DIGESTED_BYTES])
        yield
    return digest.digest()


def run_once(
    rows: Rows, asked: Asked, run: Callable[[], bytes], limits: Limits, now_s: float
) -> bytes:
    """Run what is asked unless it was; the answer of the first time.

    Raises:
        OnceTaken: the key was used for something else.
        KeyTooLarge: it is longer than keys may be.

    """
    found = _find(rows, asked, digest_of(asked), limits, now_s)
    if found.answer is not None:
        return found.answer
    return _keep(rows, found, run(), limits, now_s)


def run_once_in_slices(
    rows: Rows, asked: Asked, steps: Generator[None, None, bytes], limits: Limits, now_s: float
) -> Generator[None, None, bytes]:
    """As `run_once`, of an operation that may have more to do than a turn allows."""
    digest = yield from _digest_in_slices(asked)
    found = _find(rows, asked, digest, limits, now_s)
    if found.answer is not None:
        return found.answer
    return _keep(rows, found, (yield from steps), limits, now_s)


def _find(rows: Rows, asked: Asked, digest: bytes, limits: Limits, now_s: float) -> _Found:
    """What is kept of the same question."""
    assert asked.once is not None, "it has a key"
    if len(asked.once) > KEY_BYTES_MAX:
        raise KeyTooLarge(f"once= is a key of 1 to {KEY_BYTES_MAX} bytes; "
                          f"this has {len(asked.once)}")  # fmt: skip
    rows.open(TREE, _KEYS, _KEYS)
    held = rows.get(TREE, b"k" + asked.once)
    kept = None if held is None else _decoder.decode(held)
    if kept is not None and now_s - kept.at_s <= limits.once_age_s:
        if kept.asked != digest:
            key_shown = asked.once.decode(errors="backslashreplace")
            raise OnceTaken(f"once={key_shown!r} was used for another operation, or for other "
                            "arguments: use a key for one question only")  # fmt: skip
        return _Found(asked.once, digest, answer=kept.result)
    return _Found(asked.once, digest, stale=kept)


def _keep(rows: Rows, found: _Found, result: bytes, limits: Limits, now_s: float) -> bytes:
    """Keep an answer, and return it."""
    newest = rows.scan(TREE, b"s", b"t", reverse=True, limit=1)
    low = _low_of(rows)
    number = _PLACE.unpack(newest[0][0])[1] + 1 if newest else low
    if found.stale is not None:
        rows.delete(TREE, _PLACE.pack(b"s", found.stale.number))
    made = Kept(asked=found.digest, at_s=now_s, number=number, result=result)
    rows.put(TREE, b"k" + found.key, msgspec.msgpack.encode(made))
    rows.put(TREE, _PLACE.pack(b"s", number), found.key)
    kept_low = _forget(rows, low, number, limits, now_s)
    if kept_low != low:
        rows.put(TREE, _LOW_KEY, _LOW.pack(kept_low))
    return result


def _low_of(rows: Rows) -> int:
    held = rows.get(TREE, _LOW_KEY)
    return 0 if held is None else int(_LOW.unpack(held)[0])


def _forget(rows: Rows, low: int, number: int, limits: Limits, now_s: float) -> int:
    """Remove what is out of the window, a few rows; below which number none is kept then."""
    first = _PLACE.pack(b"s", low)
    for place, key in rows.scan(TREE, first, b"t", reverse=False, limit=REMOVED_MAX):
        held = rows.get(TREE, b"k" + key)
        at = _PLACE.unpack(place)[1]
        is_many = number - at >= limits.once_count_max
        if held is not None and not is_many:
            is_old = now_s - _decoder.decode(held).at_s > limits.once_age_s
            if not is_old:
                return low
        rows.delete(TREE, place)
        rows.delete(TREE, b"k" + key)
        low = at + 1
    return low
