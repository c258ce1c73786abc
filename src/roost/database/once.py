"""What operations answered, kept for whoever asks again: `run(..., once="a key of yours")`.

    $once   "k", key        ->  MessagePack `Kept`: what was asked, when, and the answer
            "s", u64        ->  the key that was kept as number so-and-so, oldest first

The row is written in the write set of the operation itself: both are there, or neither.  A refusal
writes nothing and is not kept, so a retry asks again.  What is too old, or too many, goes with the
next operation that is kept, a few at a time.
"""

from collections.abc import Callable
from hashlib import blake2b
from struct import Struct

import msgspec

from roost.database.answers import Asked
from roost.database.errors import OnceTaken
from roost.database.limits import Limits
from roost.database.rows import Rows

TREE = "$once"
_KEYS = "once"
KEY_BYTES_MAX = 256
# How many rows of the past one operation removes: more than it adds, so the window gets narrower.
REMOVED_MAX = 4
_PLACE = Struct(">cQ")


class Kept(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One answer: the digest of what was asked, seconds since 1970, its number, the result."""

    asked: bytes
    at_s: float
    number: int
    result: bytes


_decoder = msgspec.msgpack.Decoder(Kept)


def digest_of(asked: Asked) -> bytes:
    """What tells one question from another."""
    return blake2b(asked.name.encode() + b"\0" + asked.arguments, digest_size=16).digest()


def run_once(
    rows: Rows, asked: Asked, run: Callable[[], bytes], limits: Limits, now_s: float
) -> bytes:
    """Run what is asked unless it was; the answer of the first time.

    Raises:
        OnceTaken: the key was used for something else.

    """
    assert asked.once is not None, "it has a key"
    rows.open(TREE, _KEYS, _KEYS)
    key, digest = b"k" + asked.once, digest_of(asked)
    held = rows.get(TREE, key)
    kept = None if held is None else _decoder.decode(held)
    if kept is not None and now_s - kept.at_s <= limits.once_age_s:
        if kept.asked != digest:
            raise OnceTaken(f"once={asked.once.decode()!r} was used for another operation, or for "
                            "other arguments: use a key for one question only")  # fmt: skip
        return kept.result
    result = run()
    newest = rows.scan(TREE, b"s", b"t", reverse=True, limit=1)
    number = _PLACE.unpack(newest[0][0])[1] + 1 if newest else 0
    if kept is not None:
        rows.delete(TREE, _PLACE.pack(b"s", kept.number))
    made = Kept(asked=digest, at_s=now_s, number=number, result=result)
    rows.put(TREE, key, msgspec.msgpack.encode(made))
    rows.put(TREE, _PLACE.pack(b"s", number), asked.once)
    _forget(rows, number, limits, now_s)
    return result


def _forget(rows: Rows, number: int, limits: Limits, now_s: float) -> None:
    """Remove what is out of the window, a few rows."""
    for place, key in rows.scan(TREE, b"s", b"t", reverse=False, limit=REMOVED_MAX):
        held = rows.get(TREE, b"k" + key)
        is_many = number - _PLACE.unpack(place)[1] >= limits.once_count_max
        if held is not None and not is_many:
            is_old = now_s - _decoder.decode(held).at_s > limits.once_age_s
            if not is_old:
                return
        rows.delete(TREE, place)
        rows.delete(TREE, b"k" + key)
