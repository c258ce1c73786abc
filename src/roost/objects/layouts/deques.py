r"""Deques: values in a row that grows and shrinks at both ends.

    b"\x01" + u64     ->  the value at that place; places have no gaps, the first is in the head

What happens at the ends writes the value's row and the head; any value is read in one row.  What
is put in or taken out between moves all values on the nearer side by one place, and `rotate` as
many as it is turned by: that is what CPython's deque costs, too, in memory.  What may be many is
steps, each of which says how many rows it reads and writes.
"""

from collections.abc import Generator, Sequence
from struct import Struct

import msgspec

from roost.database import Transaction
from roost.database.model import Form, Slice
from roost.objects.layouts.heads import END, ITEM, Head, Opened, Shape, open_object
from roost.objects.layouts.lists import there

U64 = Struct(">Q")
# Where the first value goes: 2**62 may come before it, and more than that behind.
MIDDLE = 1 << 62
# Many travel in parts, each of which takes about a millisecond: 1 us a value, and 2 where each has
# another one go at the other end (measured with values of 12 bytes, 2026-11-28).
VALUES: Form[bytes] = Form(bytes, "values", len, count_max=400)
Moves = Generator[int, None, None]
Steps = Generator[None, None, None]


class DequeHead(Head, frozen=True, array_like=True):
    """`first`: the place of the first value; `version` counts the changes."""

    first: int = MIDDLE
    version: int = 0


def place_key(place: int) -> bytes:
    """Where a value is."""
    return ITEM + U64.pack(place)


class Ring:
    """A deque in a transaction, of `maxlen` values at most."""

    def __init__(self, txn: Transaction, shape: Shape, maxlen: int | None) -> None:
        """Open it."""
        self._opened: Opened[DequeHead] = open_object(txn, shape, DequeHead)
        head = self._opened.head
        self.count, self.version, self._first = head.count, head.version, head.first
        self._rows = self._opened.tree
        self._maxlen = maxlen

    @property
    def is_full(self) -> bool:
        """Whether it has as many as it may have."""
        return self._maxlen is not None and self.count >= self._maxlen

    def place(self, position: int) -> int | None:
        """A position counted from the beginning; None when there is nothing."""
        position += self.count if position < 0 else 0
        return position if 0 <= position < self.count else None

    def value(self, position: int) -> bytes:
        """The value at a position, which must be one."""
        return there(self._rows.get(place_key(self._first + position)))

    def set(self, position: int, value: bytes) -> None:
        """Set the value at a position, which must be one."""
        self._rows[place_key(self._first + position)] = value

    def extend(self, values: Sequence[bytes], *, left: bool) -> Moves:
        """Put values at an end, one after the other; what there is no room for goes at the other.

        Only those are written that stay.
        """
        if self._maxlen is not None:
            values = values[max(len(values) - self._maxlen, 0) :]
            for _ in range(min(max(self.count + len(values) - self._maxlen, 0), self.count)):
                self.pop(left=not left)
                yield 1
        for value in values:
            self.push(value, left=left)
            yield 1

    def push(self, value: bytes, *, left: bool) -> None:
        """Put a value at an end."""
        self._first -= left
        self.count += 1
        self.set(0 if left else self.count - 1, value)

    def pop(self, *, left: bool) -> None:
        """Take the value at an end out; there must be one."""
        self._rows.discard(place_key(self._first if left else self._first + self.count - 1))
        self.count -= 1
        self._first += left

    def delete(self, position: int) -> Moves:
        """Take out the value at a position: those of the nearer side move."""
        is_left = position < self.count // 2
        if is_left:
            for place in range(position, 0, -1):
                yield self._move(place - 1, place)
        else:
            for place in range(position, self.count - 1):
                yield self._move(place + 1, place)
        self.pop(left=is_left)

    def _move(self, position: int, to: int) -> int:
        """Have a value at another position, too; how many rows that is: it takes 2 us."""
        self.set(to, self.value(position))
        return 1

    def insert(self, position: int, value: bytes) -> Moves:
        """Put a value before a position: those of the nearer side move."""
        is_left = position < self.count // 2
        self.count += 1
        if is_left:
            self._first -= 1
            for place in range(position):
                yield self._move(place + 1, place)
        else:
            for place in range(self.count - 1, position, -1):
                yield self._move(place - 1, place)
        self.set(position, value)

    def rotate(self, steps: int) -> Moves:
        """Move values from the end to the beginning; the other way when it is less than 0."""
        steps %= self.count or 1
        is_forward = steps <= self.count // 2
        for _ in range(steps if is_forward else self.count - steps):
            value = self.value(self.count - 1 if is_forward else 0)
            self.pop(left=not is_forward)
            self.push(value, left=is_forward)
            yield 2

    def reverse(self) -> Moves:
        """Put the values into the opposite order; it writes all of them."""
        for place in range(self.count // 2):
            other = self.count - 1 - place
            first, second = self.value(place), self.value(other)
            self.set(place, second)
            self.set(other, first)
            yield 2

    def clear(self) -> None:
        """Take out all values; it is one row."""
        self._rows.delete_range(first=ITEM, stop=END)
        self.count, self._first = 0, MIDDLE

    def save(self) -> None:
        """Write what has changed."""
        head, version = self._opened.head, self.version + 1
        self._opened.save(
            msgspec.structs.replace(head, count=self.count, first=self._first, version=version)
        )


def get(txn: Transaction, shape: Shape, position: int) -> bytes | None:
    """The value at a position."""
    ring = Ring(txn, shape, None)
    place = ring.place(position)
    return None if place is None else ring.value(place)


def set_one(txn: Transaction, shape: Shape, position: int, value: bytes) -> bool:
    """Set the value at a position; whether there is one."""
    ring = Ring(txn, shape, None)
    place = ring.place(position)
    if place is None:
        return False
    ring.set(place, value)
    ring.save()
    return True


def extend(
    txn: Transaction,
    shape: Shape,
    values: list[bytes],
    left: bool,  # noqa: FBT001 - arguments of operations have positions
    maxlen: int | None,
) -> Steps:
    """Put values at an end; more than so many may have to go at the other one."""
    ring = Ring(txn, shape, maxlen)
    yield from Slice().paced(ring.extend(values, left=left))
    ring.save()


def extend_parts(
    txn: Transaction,
    shape: Shape,
    parts: list[memoryview],
    left: bool,  # noqa: FBT001 - as above
    maxlen: int | None,
) -> Steps:
    """As `extend`, a part a turn."""
    ring, part = Ring(txn, shape, maxlen), Slice()
    for some in parts:
        yield from part.paced(ring.extend(VALUES.decode(some), left=left))
    ring.save()


def pop(
    txn: Transaction,
    shape: Shape,
    left: bool,  # noqa: FBT001 - as above
) -> bytes | None:
    """Take out the value at an end."""
    ring = Ring(txn, shape, None)
    if not ring.count:
        return None
    found = ring.value(0 if left else ring.count - 1)
    ring.pop(left=left)
    ring.save()
    return found


def insert(
    txn: Transaction, shape: Shape, position: int, value: bytes, maxlen: int | None
) -> Generator[None, None, bool]:
    """Put a value before a position; False when it is full."""
    ring = Ring(txn, shape, maxlen)
    if ring.is_full:
        return False
    place = max(position + ring.count, 0) if position < 0 else min(position, ring.count)
    yield from Slice().paced(ring.insert(place, value))
    ring.save()
    return True


def delete(txn: Transaction, shape: Shape, position: int) -> Generator[None, None, bool]:
    """Take out the value at a position; whether there is one."""
    ring = Ring(txn, shape, None)
    place = ring.place(position)
    if place is None:
        return False
    yield from Slice().paced(ring.delete(place))
    ring.save()
    return True


def remove(
    txn: Transaction, shape: Shape, position: int, version: int
) -> Generator[None, None, bool]:
    """Take out the value at a position, if nothing has changed since `version`."""
    ring = Ring(txn, shape, None)
    if ring.version != version:
        return False
    yield from Slice().paced(ring.delete(position))
    ring.save()
    return True


def rotate(txn: Transaction, shape: Shape, steps: int) -> Steps:
    """Move values from the end to the beginning."""
    ring = Ring(txn, shape, None)
    yield from Slice().paced(ring.rotate(steps))
    ring.save()


def reverse(txn: Transaction, shape: Shape) -> Steps:
    """Put the values into the opposite order."""
    ring = Ring(txn, shape, None)
    yield from Slice().paced(ring.reverse())
    ring.save()


def clear(txn: Transaction, shape: Shape) -> None:
    """Take out all values."""
    ring = Ring(txn, shape, None)
    ring.clear()
    ring.save()
