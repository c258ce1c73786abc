"""Many rows in one call, `Tree.update`: in parts, so that nobody is held up by them.

    part    MessagePack [[key, value], ...]    PART_ROWS rows at most, or PART_BYTES and a row more

Rows are encoded a part a turn of the loop that asks.  One part is an ordinary operation.  Several
are a long one (`store/long_write.py`): the member that leads takes a part a turn, each is decoded
when it is its turn, and the others take them over one by one.  All of it takes effect, or nothing.

What is done in one step however many parts there are is copying their bytes on their way, a third
of a millisecond a MiB; they have `Limits.write_set_bytes_max` in all.
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from roost.database.bounds import K, Shape, V
from roost.database.errors import BadArgument, Refused, UnknownOperation
from roost.database.operations import LongOperation
from roost.database.rows import Row
from roost.database.source import Asker
from roost.database.transaction import Transaction
from roost.errors import UNDECODABLE

# About a millisecond and a half where they are put: 1.5 us a row (measured with rows of 28 bytes,
# 2026-11-28).
PART_ROWS = 1000
# What an entry of a long write has of them, too.
PART_BYTES = 256 << 10
_decoder = msgspec.msgpack.Decoder(list[Row])


async def put_if_many(
    rows: Mapping[K, V] | Iterable[tuple[K, V]], shape: Shape[K, V], asker: Asker
) -> list[Row] | None:
    """Put rows in parts, if they are many; or else return them, to be put by one operation.

    Raises:
        BadArgument: they are no pairs.
        BadKey, BadValue, Refused, OutcomeUnknown, NotExecuted: as a put.

    """
    few, parts = await collect(rows, shape)
    if not parts:
        return few
    try:
        await asker.ask(PUT_PARTS, shape.name, shape.keys.name, shape.values.name, parts)
    except UnknownOperation:
        # The member that leads is of an earlier version: it takes all of them at once.
        return [row for part in parts for row in rows_of(part)]
    return None


class Collected(NamedTuple):
    """Rows on their way: few of them as they are, or else parts."""

    few: list[Row]
    parts: list[memoryview]


async def collect(rows: Mapping[K, V] | Iterable[tuple[K, V]], shape: Shape[K, V]) -> Collected:
    """Encode rows, a part a turn of the loop.

    Raises:
        BadArgument: they are no pairs.
        BadKey, BadValue: one is none of this tree's.

    """
    left = _pairs(rows)
    few, is_all = _next_part(left, shape)
    parts = [] if is_all else [_encode(few)]
    while not is_all:
        await asyncio.sleep(0)
        part, is_all = _next_part(left, shape)
        if part:
            parts.append(_encode(part))
    return Collected([], parts) if len(parts) > 1 else Collected(few, [])


def _pairs(rows: Mapping[K, V] | Iterable[tuple[K, V]]) -> Iterator[tuple[K, V]]:
    """What is given, as it is now: whoever has it may go on to change it while turns go by."""
    if type(rows) is dict:
        return iter(rows.copy().items())
    given = rows.items() if isinstance(rows, Mapping) else rows
    try:
        return iter(list(given) if isinstance(given, Collection) else given)
    except TypeError as error:
        raise _no_pairs(error) from error


def _next_part(left: Iterator[tuple[K, V]], shape: Shape[K, V]) -> tuple[list[Row], bool]:
    """The next rows, and whether they are the last."""
    encode_key, encode = shape.keys.encode, shape.values.encode
    part: list[Row] = []
    size = 0
    for given in left:
        try:
            key, value = given
        except (TypeError, ValueError) as error:
            raise _no_pairs(error) from error
        row = encode_key(key), encode(value)
        part.append(row)
        size += len(row[0]) + len(row[1])
        if len(part) >= PART_ROWS or size >= PART_BYTES:
            return part, False
    return part, True


def _no_pairs(error: Exception) -> BadArgument:
    return BadArgument(f"what is put are pairs of a key and its value: {error}")


def _encode(part: list[Row]) -> memoryview:
    return memoryview(msgspec.msgpack.encode(part))


def rows_of(part: memoryview) -> list[Row]:
    """The rows of a part.

    Raises:
        Refused: it is none.

    """
    try:
        return _decoder.decode(part)
    except UNDECODABLE as error:
        raise Refused(f"what is put is no part of rows: {error}") from error


def _put_parts(
    txn: Transaction, tree: str, keys: str, values: str, parts: list[memoryview]
) -> Iterator[None]:
    rows = txn.rows()
    rows.open(tree, keys, values)
    for part in parts:
        for key, value in rows_of(part):
            rows.put(tree, key, value)
        yield


PUT_PARTS: LongOperation[[str, str, str, list[memoryview]]] = LongOperation(
    "roost.put_parts", _put_parts
)
