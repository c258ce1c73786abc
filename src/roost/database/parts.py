"""Things that are many, on their way to the member that leads: in parts, so that nobody is held up.

    part    MessagePack [item, ...]    `count_max` items at most, or PART_BYTES and an item more

They are encoded a part a turn of the loop that asks, each part in bytes of its own; the member that
leads decodes one when it is its turn (`operations.LongOperation`).

What is done in one step however many parts there are is copying their bytes on their way, a third
of a millisecond a MiB.

Full?  They have PARTS_BYTES_MAX in all, more than which no operation is sent with: who gives more,
or has no end, is refused as soon as that is known.
"""

import asyncio
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from typing import Generic, NamedTuple, TypeVar

import msgspec

from roost.database.codecs import UNENCODABLE
from roost.database.errors import BadArgument, Refused, WriteSetTooLarge
from roost.database.limits import WRITE_SET_BYTES_HARD_MAX
from roost.errors import UNDECODABLE
from roost.outcome import text_of

# What an entry of a long write has of them, too.
PART_BYTES = 256 << 10
PARTS_BYTES_MAX = WRITE_SET_BYTES_HARD_MAX
# What a slice of a long operation reads and writes: rows of about four microseconds, of which each
# has so many bytes, or is more.
SLICE_ROWS, BYTES_A_ROW = 300, 1 << 12
T = TypeVar("T")
E = TypeVar("E")
K = TypeVar("K")
V = TypeVar("V")


class Slice:
    """How much of a slice of a long operation is left."""

    def __init__(self) -> None:
        """All of it."""
        self._left = SLICE_ROWS

    def is_over_after(self, row_count: int, size: int = 0) -> bool:
        """So many rows, and bytes, were read or written; the next one begins when it is over."""
        self._left -= row_count + size // BYTES_A_ROW
        if self._left > 0:
            return False
        self._left = SLICE_ROWS
        return True

    def paced(self, steps: Generator[int, None, T]) -> Generator[None, None, T]:
        """Steps that say how many rows they were, so many of them in a slice."""
        while True:
            try:
                row_count = next(steps)
            except StopIteration as end:
                come_to: T = end.value
                return come_to
            if self.is_over_after(row_count):
                yield


class Collected(NamedTuple, Generic[E]):
    """Things on their way: few of them as they are, or else parts."""

    few: list[E]
    parts: list[memoryview]


class Form(Generic[E]):
    """How things of one type travel."""

    def __init__(
        self, kind: object, what: str, size_of: Callable[[E], int], *, count_max: int
    ) -> None:
        """`kind` is E, and `what` that is called in errors.

        `count_max` of them take a millisecond or two where they arrive.
        """
        self._decoder = msgspec.msgpack.Decoder(list[kind])  # type: ignore[valid-type]  # a type, or a union
        self.what = what
        self._size_of = size_of
        self.count_max = count_max

    async def collect(self, given: Iterable[T], encode: Callable[[T], E]) -> Collected[E]:
        """What `encode` makes of each, a part a turn of the loop.

        They are those that are given now: who has a collection may go on to change it.

        Raises:
            WriteSetTooLarge: they are more than one operation can have.
            BadArgument: what `encode` has made of one cannot travel.

        """
        left = iter(list(given) if isinstance(given, Collection) else given)
        few, is_all = self._next_part(left, encode)
        parts = [] if is_all else [self.encode(few)]
        size = sum(map(len, parts))
        while not is_all:
            check_size(self.what, size)
            await asyncio.sleep(0)
            part, is_all = self._next_part(left, encode)
            if part:
                parts.append(self.encode(part))
                size += len(parts[-1])
        return Collected([], parts) if len(parts) > 1 else Collected(few, [])

    def _next_part(self, left: Iterator[T], encode: Callable[[T], E]) -> tuple[list[E], bool]:
        """The next ones, and whether they are the last."""
        size_of, count_max = self._size_of, self.count_max
        part: list[E] = []
        size = 0
        for given in left:
            it = encode(given)
            part.append(it)
            size += size_of(it)
            if len(part) >= count_max or size >= PART_BYTES:
                return part, False
        return part, True

    def encode(self, part: list[E]) -> memoryview:
        """A part, on its way.

        Raises:
            BadArgument: something in it cannot travel.

        """
        try:
            return memoryview(msgspec.msgpack.encode(part))
        except UNENCODABLE as error:
            raise BadArgument(f"some {self.what} cannot be sent: {text_of(error)}") from error

    def decode(self, part: memoryview) -> list[E]:
        """What is in a part.

        Raises:
            Refused: it is none.

        """
        try:
            found: list[E] = self._decoder.decode(part)
        except UNDECODABLE as error:
            raise Refused(f"what was sent is no part of {self.what}: {error}") from error
        return found


def check_size(what: str, size: int) -> None:
    """Refuse what is more than an operation can be sent with.

    Raises:
        WriteSetTooLarge: it is.

    """
    if size > PARTS_BYTES_MAX:
        raise WriteSetTooLarge(
            f"the {what} of one call have more than {PARTS_BYTES_MAX} bytes: do it in several"
        )


def pairs_of(rows: Mapping[K, V] | Iterable[tuple[K, V]]) -> Iterable[tuple[K, V]]:
    """What is given as a mapping, or as pairs; of a dictionary, as it is now."""
    if type(rows) is dict:
        return iter(rows.copy().items())  # a fifth of what a list of its pairs takes
    return rows.items() if isinstance(rows, Mapping) else rows
