r"""Lists: values at positions.

    b"\x01" + u64     ->  a value; the number is its own as long as it is in the list
    b"\x02" + u64     ->  a node of the tree of counts that says which number is at which position
                          (`counted_tree`), numbers of nodes being of the same kind

A value is found in one row for each level of the tree and its own; what is put in or taken out
anywhere writes as many, and the head.  Values that move are not written again.
"""

from collections.abc import Callable, Sequence
from struct import Struct

import msgspec

from roost.database import BadArgument, Transaction, ValueUndecodable
from roost.objects.layouts.counted_tree import CountedTree
from roost.objects.layouts.heads import END, ITEM, OTHER, Head, Opened, Shape, open_object

U64 = Struct(">Q")


class ListHead(Head, frozen=True, array_like=True):
    """`next`: the next number; `version` counts the changes, so that who has looked can say when.

    `root` 0: it is empty; `depth`: how many levels stand above the leaves.
    """

    next: int = 1
    root: int = 0
    depth: int = 0
    version: int = 0


class Span(msgspec.Struct, frozen=True, array_like=True):
    """A slice, as Python says it."""

    start: int | None
    stop: int | None
    step: int | None


def item_key(number: int) -> bytes:
    """Where a value is."""
    return ITEM + U64.pack(number)


def node_key(number: int) -> bytes:
    """Where a node is."""
    return OTHER + U64.pack(number)


def there(row: bytes | None) -> bytes:
    """A row that must be there.

    Raises:
        ValueUndecodable: it is not.

    """
    if row is None:
        raise ValueUndecodable("a row that the object points to is not there")
    return row


class Items:
    """A list in a transaction."""

    def __init__(self, txn: Transaction, shape: Shape) -> None:
        """Open it."""
        self._opened: Opened[ListHead] = open_object(txn, shape, ListHead)
        head = self._opened.head
        self.count, self.version, self._next = head.count, head.version, head.next
        tree = self._opened.tree
        self._rows = tree
        self.tree = CountedTree(
            head.root, head.depth, read=lambda it: there(tree.get(node_key(it))), new=self._number
        )

    def _number(self) -> int:
        self._next += 1
        return self._next - 1

    def place(self, position: int) -> int | None:
        """A position counted from the beginning; None when there is nothing."""
        position += self.count if position < 0 else 0
        return position if 0 <= position < self.count else None

    def value(self, position: int) -> bytes:
        """The value at a position, which must be one."""
        return there(self._rows.get(item_key(self.tree.at(position))))

    def insert(self, position: int, values: Sequence[bytes]) -> None:
        """Put values before a position, which is one or the end."""
        numbers = [self._number() for _ in values]
        for number, value in zip(numbers, values, strict=True):
            self._rows[item_key(number)] = value
        self.tree.insert(position, numbers)
        self.count += len(numbers)

    def set(self, position: int, value: bytes) -> None:
        """Set the value at a position, which must be one."""
        self._rows[item_key(self.tree.at(position))] = value

    def delete(self, first: int, stop: int) -> None:
        """Take out the values from `first` to before `stop`."""
        if first == 0 and stop == self.count:
            self.clear()
            return
        for number in self.tree.delete(first, stop):
            self._rows.discard(item_key(number))
            self.count -= 1

    def clear(self) -> None:
        """Take out all values; it is one row."""
        self._rows.delete_range(first=ITEM, stop=END)
        self.tree.root = self.tree.depth = self.count = 0

    def write_node(self, number: int, row: bytes | None) -> None:
        """Write a node, or remove it."""
        if row is None:
            self._rows.discard(node_key(number))
        else:
            self._rows[node_key(number)] = row

    def save(self) -> None:
        """Write what has changed."""
        self.tree.flush(self.write_node)
        self._opened.save(
            msgspec.structs.replace(
                self._opened.head,
                count=self.count,
                next=self._next,
                root=self.tree.root,
                depth=self.tree.depth,
                version=self.version + 1,
            )
        )


def get(txn: Transaction, shape: Shape, position: int) -> bytes | None:
    """The value at a position."""
    items = Items(txn, shape)
    place = items.place(position)
    return None if place is None else items.value(place)


def set_one(txn: Transaction, shape: Shape, position: int, value: bytes) -> bool:
    """Set the value at a position; whether there is one."""
    items = Items(txn, shape)
    place = items.place(position)
    if place is None:
        return False
    items.set(place, value)
    items.save()
    return True


def insert(txn: Transaction, shape: Shape, position: int | None, values: list[bytes]) -> None:
    """Put values before a position, None = at the end; what is out of it is an end."""
    items = Items(txn, shape)
    if position is None:
        position = items.count
    elif position < 0:
        position = max(position + items.count, 0)
    items.insert(min(position, items.count), values)
    items.save()


def pop(txn: Transaction, shape: Shape, position: int) -> bytes | None:
    """Take out the value at a position."""
    items = Items(txn, shape)
    place = items.place(position)
    if place is None:
        return None
    found = items.value(place)
    items.delete(place, place + 1)
    items.save()
    return found


def delete(txn: Transaction, shape: Shape, span: Span) -> None:
    """Take out the values of a slice."""
    items = Items(txn, shape)
    places = range(*slice(span.start, span.stop, span.step).indices(items.count))
    if abs(places.step) == 1 and places:
        items.delete(min(places), max(places) + 1)
    else:
        for place in sorted(places, reverse=True):
            items.delete(place, place + 1)
    items.save()


def assign(txn: Transaction, shape: Shape, span: Span, values: list[bytes]) -> int | None:
    """Set a slice; how long it is, when it is not as long as what is given, and has to be."""
    items = Items(txn, shape)
    places = range(*slice(span.start, span.stop, span.step).indices(items.count))
    if places.step == 1:
        items.delete(places.start, max(places.start, places.stop))
        items.insert(places.start, values)
    elif len(places) != len(values):
        return len(places)
    else:
        for place, value in zip(places, values, strict=True):
            items.set(place, value)
    items.save()
    return None


def remove(txn: Transaction, shape: Shape, position: int, version: int) -> bool:
    """Take out the value at a position, if nothing has changed since `version`."""
    items = Items(txn, shape)
    if items.version != version:
        return False
    items.delete(position, position + 1)
    items.save()
    return True


def reverse(txn: Transaction, shape: Shape) -> None:
    """Put the values into the opposite order."""
    _rearranged(Items(txn, shape), lambda numbers: numbers[::-1])


def rearrange(txn: Transaction, shape: Shape, order: list[int], version: int) -> bool:
    """Put what was at position `order[i]` at i, if nothing has changed since `version`.

    Raises:
        BadArgument: the order is none of the positions.

    """
    items = Items(txn, shape)
    if items.version != version:
        return False
    if sorted(order) != list(range(items.count)):
        raise BadArgument("an order names each position once")
    _rearranged(items, lambda numbers: [numbers[it] for it in order])
    return True


def _rearranged(items: Items, arrange: Callable[[list[int]], list[int]]) -> None:
    items.tree.replace(arrange(items.tree.all()))
    items.save()


def clear(txn: Transaction, shape: Shape) -> None:
    """Take out all values."""
    items = Items(txn, shape)
    items.clear()
    items.save()
