r"""Sets: members in the order of their keys.

    b"\x01" + member  ->  b""

Whether something is in it is one row read; what is added or removed is two rows.
"""

from collections.abc import Callable, Generator

import msgspec

from roost.database import Transaction
from roost.database.model import Form
from roost.objects.layouts.heads import END, ITEM, Head, Opened, Shape, open_object

# Many travel in parts, each of which takes about a millisecond: 2.1 us a member (measured with
# members of 12 bytes, 2026-11-28).
MEMBERS: Form[bytes] = Form(bytes, "members", len, count_max=400)


class SetHead(Head, frozen=True, array_like=True):
    """`low`: no row comes before this one, though traces of removed ones may."""

    low: bytes = b""


class Found(msgspec.Struct, frozen=True, array_like=True):
    """How many of those that were asked for are in it, and how many are in it at all."""

    held: int
    count: int


class Members:
    """One of them, in a transaction."""

    def __init__(self, txn: Transaction, shape: Shape) -> None:
        """Open it."""
        self._opened: Opened[SetHead] = open_object(txn, shape, SetHead)
        self._tree = self._opened.tree
        self.count, self._low = self._opened.head.count, self._opened.head.low

    def has(self, member: bytes) -> bool:
        """Whether it is in it."""
        return self._tree.get(ITEM + member) is not None

    def add(self, member: bytes) -> bool:
        """Put it in; whether it is new."""
        if self.has(member):
            return False
        self._tree[ITEM + member] = b""
        self.count += 1
        self._low = min(self._low, member)
        return True

    def discard(self, member: bytes) -> bool:
        """Take it out; whether it was in."""
        if not self.has(member):
            return False
        self._tree.discard(ITEM + member)
        self.count -= 1
        return True

    def toggle(self, member: bytes) -> None:
        """Take it out if it is in, else put it in."""
        if not self.discard(member):
            self.add(member)

    def pop(self) -> bytes | None:
        """Take the first one out."""
        row = next(self._tree.keys(first=ITEM + self._low, stop=END, limit=1), None)
        if row is None:
            return None
        member = row[1:]
        self.discard(member)
        self._low = member
        return member

    def clear(self) -> None:
        """Take all out."""
        self._tree.delete_range(first=ITEM, stop=END)
        self.count, self._low = 0, b""

    def save(self) -> None:
        """Write how many there are, if that has changed."""
        opened, head = self._opened, self._opened.head
        if opened.is_new or (head.count, head.low) != (self.count, self._low):
            opened.save(msgspec.structs.replace(head, count=self.count, low=self._low))


def add(txn: Transaction, shape: Shape, members: list[bytes]) -> int:
    """Put members in; how many are new."""
    held = Members(txn, shape)
    new = sum(map(held.add, members))
    held.save()
    return new


def add_parts(
    txn: Transaction, shape: Shape, parts: list[memoryview]
) -> Generator[None, None, int]:
    """As `add`, a part a turn."""
    held = Members(txn, shape)
    new = yield from _each_part(parts, held.add)
    held.save()
    return new


def _each_part(
    parts: list[memoryview], do: Callable[[bytes], object]
) -> Generator[None, None, int]:
    """Do it with each member, a part a turn; how often it was so."""
    count = 0
    for part in parts:
        count += sum(map(bool, map(do, MEMBERS.decode(part))))
        yield
    return count


def discard(txn: Transaction, shape: Shape, members: list[bytes]) -> int:
    """Take members out; how many were in."""
    held = Members(txn, shape)
    gone = sum(map(held.discard, members))
    if gone:
        held.save()
    return gone


def discard_parts(
    txn: Transaction, shape: Shape, parts: list[memoryview]
) -> Generator[None, None, int]:
    """As `discard`, a part a turn."""
    held = Members(txn, shape)
    gone = yield from _each_part(parts, held.discard)
    if gone:
        held.save()
    return gone


def toggle(txn: Transaction, shape: Shape, members: list[bytes]) -> None:
    """Take out of these what is in, and put in what is not."""
    held = Members(txn, shape)
    for it in members:
        held.toggle(it)
    held.save()


def toggle_parts(
    txn: Transaction, shape: Shape, parts: list[memoryview]
) -> Generator[None, None, None]:
    """As `toggle`, a part a turn; no member may be in two of them."""
    held = Members(txn, shape)
    yield from _each_part(parts, held.toggle)
    held.save()


def keep(txn: Transaction, shape: Shape, members: list[bytes]) -> None:
    """Take out all but these; it reads and writes as many rows as they are, and one."""
    held = Members(txn, shape)
    kept = [it for it in members if held.has(it)]
    held.clear()
    for it in kept:
        held.add(it)
    held.save()


def keep_parts(
    txn: Transaction, shape: Shape, parts: list[memoryview]
) -> Generator[None, None, None]:
    """As `keep`, a part a turn, and each part once more."""
    held = Members(txn, shape)
    kept: list[list[bytes]] = []
    for part in parts:
        kept.append([it for it in MEMBERS.decode(part) if held.has(it)])
        yield
    held.clear()
    for some in kept:
        for it in some:
            held.add(it)
        yield
    held.save()


def pop(txn: Transaction, shape: Shape) -> bytes | None:
    """Take the first one out."""
    held = Members(txn, shape)
    found = held.pop()
    if found is not None:
        held.save()
    return found


def clear(txn: Transaction, shape: Shape) -> None:
    """Take all out."""
    held = Members(txn, shape)
    held.clear()
    held.save()


def find(txn: Transaction, shape: Shape, members: list[bytes]) -> Found:
    """How many of these are in."""
    held = Members(txn, shape)
    return Found(sum(map(held.has, members)), held.count)


def find_parts(
    txn: Transaction, shape: Shape, parts: list[memoryview]
) -> Generator[None, None, Found]:
    """As `find`, a part a turn."""
    held = Members(txn, shape)
    return Found((yield from _each_part(parts, held.has)), held.count)
