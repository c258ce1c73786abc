r"""Dictionaries: keys to values, in the order in which the keys came.

    b"\x01" + key     ->  u64 number, value
    b"\x02" + u64     ->  the key that came as number so-and-so

Reading a key is one row; a new key is three rows, a new value of an old one is one.
"""

from collections.abc import Generator
from struct import Struct

import msgspec

from roost.database import Refused, Transaction
from roost.database.model import Form
from roost.objects.layouts.heads import END, ITEM, OTHER, Head, Opened, Shape, open_object

U64 = Struct(">Q")
NUMBER_BYTES = U64.size
Row = tuple[bytes, bytes]
Count = tuple[bytes, int]
# Many of them travel in parts, each of which takes about a millisecond and a half: a row 3.3 us, a
# count 4.4 (measured with keys of 12 bytes, 2026-11-28).
ROWS: Form[Row] = Form(Row, "rows", lambda it: len(it[0]) + len(it[1]), count_max=400)
COUNTS: Form[Count] = Form(Count, "counts", lambda it: len(it[0]) + NUMBER_BYTES, count_max=300)
# What a MessagePack number can be.
COUNT_MIN, COUNT_MAX = -(1 << 63), (1 << 63) - 1


class DictHead(Head, frozen=True, array_like=True):
    """`next`: the number of the next key that comes; no row has a higher one."""

    next: int = 0


class Dictionary:
    """One of them, in a transaction; `save` writes how many there are now."""

    def __init__(self, txn: Transaction, shape: Shape) -> None:
        """Open it."""
        self._opened: Opened[DictHead] = open_object(txn, shape, DictHead)
        self._tree = self._opened.tree
        self._count, self._next = self._opened.head.count, self._opened.head.next

    def get(self, key: bytes) -> bytes | None:
        """The value of a key."""
        held = self._tree.get(ITEM + key)
        return None if held is None else held[NUMBER_BYTES:]

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value of a key."""
        held = self._tree.get(ITEM + key)
        if held is not None:
            self._tree[ITEM + key] = held[:NUMBER_BYTES] + value
            return
        number = U64.pack(self._next)
        self._tree[ITEM + key] = number + value
        self._tree[OTHER + number] = key
        self._count += 1
        self._next += 1

    def pop(self, key: bytes) -> bytes | None:
        """Remove a key; the value that it had."""
        held = self._tree.get(ITEM + key)
        if held is None:
            return None
        self._tree.discard(ITEM + key)
        self._tree.discard(OTHER + held[:NUMBER_BYTES])
        self._count -= 1
        return held[NUMBER_BYTES:]

    def pop_last(self) -> Row | None:
        """Remove the key that came last."""
        # Behind `next` there may be traces of rows that were removed: they are not walked over.
        stop = OTHER + U64.pack(self._next)
        found = next(self._tree.items(first=OTHER, stop=stop, reverse=True, limit=1), None)
        if found is None:
            return None
        place, key = found
        value = self.pop(key)
        assert value is not None, "both rows are there, or none"
        (self._next,) = U64.unpack(place[1:])
        return key, value

    def clear(self) -> None:
        """Remove all keys."""
        self._tree.delete_range(first=ITEM, stop=END)
        self._count = self._next = 0

    def save(self) -> None:
        """Write how many there are, if that has changed."""
        opened, head = self._opened, self._opened.head
        if opened.is_new or (head.count, head.next) != (self._count, self._next):
            opened.save(msgspec.structs.replace(head, count=self._count, next=self._next))


def put(txn: Transaction, shape: Shape, rows: list[Row]) -> None:
    """Set the values of keys."""
    held = Dictionary(txn, shape)
    for key, value in rows:
        held.put(key, value)
    held.save()


def put_parts(
    txn: Transaction, shape: Shape, parts: list[memoryview]
) -> Generator[None, None, None]:
    """As `put`, a part a turn."""
    held = Dictionary(txn, shape)
    for part in parts:
        for key, value in ROWS.decode(part):
            held.put(key, value)
        yield
    held.save()


def set_default(txn: Transaction, shape: Shape, key: bytes, value: bytes) -> bytes:
    """The value of a key, which becomes `value` when it has none."""
    held = Dictionary(txn, shape)
    found = held.get(key)
    if found is not None:
        return found
    held.put(key, value)
    held.save()
    return value


def pop(txn: Transaction, shape: Shape, key: bytes) -> bytes | None:
    """Remove a key; the value that it had."""
    held = Dictionary(txn, shape)
    found = held.pop(key)
    if found is not None:
        held.save()
    return found


def pop_last(txn: Transaction, shape: Shape) -> Row | None:
    """Remove the key that came last."""
    held = Dictionary(txn, shape)
    found = held.pop_last()
    if found is not None:
        held.save()
    return found


def clear(txn: Transaction, shape: Shape) -> None:
    """Remove all keys."""
    held = Dictionary(txn, shape)
    held.clear()
    held.save()


def add(txn: Transaction, shape: Shape, counts: list[Count]) -> int:
    """Add to the counts of keys, which are 0 where there is none; the last one's new count.

    Raises:
        Refused: a count would have more than 64 bits.

    """
    held = Dictionary(txn, shape)
    total = 0
    for key, number in counts:
        total = _add_one(held, key, number)
    held.save()
    return total


def add_parts(
    txn: Transaction, shape: Shape, parts: list[memoryview]
) -> Generator[None, None, int]:
    """As `add`, a part a turn."""
    held = Dictionary(txn, shape)
    total = 0
    for part in parts:
        for key, number in COUNTS.decode(part):
            total = _add_one(held, key, number)
        yield
    held.save()
    return total


def _add_one(held: Dictionary, key: bytes, number: int) -> int:
    found = held.get(key)
    total = number if found is None else msgspec.msgpack.decode(found, type=int) + number
    if not COUNT_MIN <= total <= COUNT_MAX:
        raise Refused(f"a count of {total} has more than 64 bits", code="overflow")
    held.put(key, msgspec.msgpack.encode(total))
    return total
