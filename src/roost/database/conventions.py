r"""Trees with a meaning of their own (D3): many values under a key, and queues.

    @name       key (key, value) as parts of `ordered`, value b""; keys codec: multi[K, V]
    a queue     b"\x00"             ->  head, tail: u64 each, big-endian; keys codec: queue
                b"\x01", u64       ->  the value at that position, from head to before tail

A queue keeps its ends in a row: looking for them would walk over all that was taken since the last
flush.  Positions grow for ever, and say how many were appended before.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Any, Generic, TypeVar

from roost.database.bounds import PAGE_ROWS, check_users_name
from roost.database.codecs import KeyCodec, ValueCodec, key_codec, name_of, value_codec
from roost.database.errors import KeyUndecodable
from roost.database.ordered import after_parts
from roost.database.rows import Rows
from roost.store import BadTreeName

K = TypeVar("K")
V = TypeVar("V")
ENDS_KEY = b"\x00"
QUEUE_KEYS = "queue"
_ENDS = Struct(">QQ")
_PLACE = Struct(">BQ")


class MultiShape(Generic[K, V]):
    """A multi tree's name, and how its rows are written."""

    __slots__ = ("encode", "encode_key", "keys", "name", "values")

    def __init__(self, name: str, key: type[K], value: type[V]) -> None:
        """Look both types up."""
        each: KeyCodec[Any] = key_codec(tuple[key, value])  # type: ignore[valid-type]  # made here
        only: KeyCodec[Any] = key_codec(tuple[key, ...])  # type: ignore[valid-type]  # made here
        self.name = name
        self.keys = KeyCodec(
            f"multi[{name_of(key)}, {name_of(value)}]",
            each.encode,
            each.decode,
            each.encode_prefix,
        )
        self.values: ValueCodec[bytes] = value_codec(bytes)
        self.encode: Callable[[K, V], bytes] = lambda one, two: each.encode((one, two))
        self.encode_key: Callable[[K], bytes] = lambda one: only.encode((one,))

    def value(self, row: bytes) -> V:
        """The value in a row."""
        found: V = self.keys.decode(row)[1]
        return found


def multi_shape(name: str, key: type[K], value: type[V]) -> MultiShape[K, V]:
    """How the rows of a multi tree are written.

    Raises:
        BadTreeName: it does not begin with `@`.
        BadKey: keys or values have no order here.

    """
    check_users_name(name)
    if not name.startswith("@"):
        raise BadTreeName(f"{name!r}: the name of a tree with many values a key begins with @")
    return MultiShape(name, key, value)


class WritableMultiTree(Generic[K, V]):
    """Many values under a key, each once, in order."""

    def __init__(self, shape: MultiShape[K, V], rows: Callable[[], Rows]) -> None:
        """Read and write `rows()`."""
        self._shape = shape
        self._rows = rows

    def add(self, key: K, value: V) -> None:
        """Put a value under a key; it may be there already."""
        self._rows().put(self._shape.name, self._shape.encode(key, value), b"")

    def discard(self, key: K, value: V) -> None:
        """Remove a value from under a key, if it is there."""
        self._rows().delete(self._shape.name, self._shape.encode(key, value))

    def discard_all(self, key: K) -> None:
        """Remove all values from under a key; it costs one row."""
        begin = self._shape.encode_key(key)
        self._rows().delete_range(self._shape.name, begin, after_parts(begin))

    def has(self, key: K, value: V) -> bool:
        """Whether that value is under that key."""
        return self._rows().get(self._shape.name, self._shape.encode(key, value)) is not None

    def values(self, key: K) -> Iterator[V]:
        """The values under a key, in order."""
        begin = self._shape.encode_key(key)
        stop = after_parts(begin)
        while True:
            page = self._rows().scan(self._shape.name, begin, stop, reverse=False, limit=PAGE_ROWS)
            yield from (self._shape.value(row) for row, _ in page)
            if len(page) < PAGE_ROWS:
                return
            begin = page[-1][0] + b"\0"

    def count(self, key: K) -> int:
        """How many values are under a key; it walks over them."""
        return sum(1 for _ in self.values(key))


@dataclass(frozen=True, slots=True)
class Ends:
    """Where a queue begins, and where the next value goes."""

    head: int
    tail: int

    def __len__(self) -> int:
        """How many values lie between."""
        return self.tail - self.head


class WritableQueue(Generic[V]):
    """What is appended at the end is taken from the start."""

    def __init__(self, name: str, value: type[V], rows: Callable[[], Rows]) -> None:
        """Read and write `rows()`."""
        check_users_name(name)
        self._name = name
        self._values = value_codec(value)
        self._rows = rows
        rows().open(name, QUEUE_KEYS, self._values.name)

    def append(self, value: V) -> int:
        """Put a value at the end; return its position."""
        return append_to(self._rows(), self._name, self._values.encode(value))

    def take(self) -> V | None:
        """Take the value at the start; None when there is none."""
        held = take_from(self._rows(), self._name)
        return None if held is None else self._values.decode(held)

    def peek(self) -> V | None:
        """The value at the start, which stays; None when there is none."""
        rows = self._rows()
        ends = ends_of(rows.get(self._name, ENDS_KEY))
        if not ends:
            return None
        held = held_at(rows.get(self._name, place_of(ends.head)), ends.head)
        return self._values.decode(held)

    def __len__(self) -> int:
        """How many there are; it reads one row."""
        return len(ends_of(self._rows().get(self._name, ENDS_KEY)))


def ends_of(row: bytes | None) -> Ends:
    """The ends of a queue, as its row says; a queue that was never written is empty."""
    if row is None:
        return Ends(0, 0)
    if len(row) != _ENDS.size:
        raise KeyUndecodable(f"{row!r} is no row of a queue's ends")
    return Ends(*_ENDS.unpack(row))


def place_of(position: int) -> bytes:
    """The key of a position."""
    return _PLACE.pack(1, position)


def held_at(row: bytes | None, position: int) -> bytes:
    """What stands at a position between the ends, where something must."""
    if row is None:
        raise KeyUndecodable(f"position {position} of a queue is not there")
    return row


def append_to(rows: Rows, name: str, value: bytes) -> int:
    """Append to a queue that was opened."""
    ends = ends_of(rows.get(name, ENDS_KEY))
    rows.put(name, place_of(ends.tail), value)
    rows.put(name, ENDS_KEY, _ENDS.pack(ends.head, ends.tail + 1))
    return ends.tail


def take_from(rows: Rows, name: str) -> bytes | None:
    """Take from a queue that was opened."""
    ends = ends_of(rows.get(name, ENDS_KEY))
    if not ends:
        return None
    held = held_at(rows.get(name, place_of(ends.head)), ends.head)
    rows.delete(name, place_of(ends.head))
    rows.put(name, ENDS_KEY, _ENDS.pack(ends.head + 1, ends.tail))
    return held
