r"""Lists: values at positions.

    b"\x01" + u64     ->  a value; the number is its own as long as it is in the list
    b"\x02" + u64     ->  a node of the tree of counts that says which number is at which position
                          (`counted_tree`), numbers of nodes being of the same kind

A value is found in one row for each level of the tree and its own; what is put in or taken out
anywhere writes as many, and the head.  Values that move are not written again.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from struct import Struct

import msgspec

from roost.database import BadArgument, Transaction, ValueUndecodable
from roost.database.model import Form, Slice
from roost.objects.layouts.counted_tree import CountedTree
from roost.objects.layouts.heads import END, ITEM, OTHER, Head, Opened, Shape, open_object

U64 = Struct(">Q")
# Many travel in parts, each of which takes about a millisecond and a half: a value 4.6 us, a place
# 0.4 (measured with values of 12 bytes, 2026-11-28).
VALUES: Form[bytes] = Form(bytes, "values", len, count_max=300)
PLACES: Form[int] = Form(int, "places", lambda _: U64.size, count_max=3000)
# So many values are taken out in a step; and what it takes to take one out, in rows.
DELETED_MAX, ROWS_A_DELETION = 64, 12
# Places that take as long as a row; and what it takes to decode a part of values, in rows.
_PLACES_A_ROW, _ROWS_TO_DECODE = 10, 8
_NO_ORDER = "an order names each position once"
# Where more than one of so many values goes, here and there, what stays is put into new nodes.
_SCATTERED = 64
Steps = Generator[None, None, None]


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

    def delete(self, first: int, stop: int) -> Generator[int, None, None]:
        """Take out the values from `first` to before `stop`, in steps that say what they cost."""
        if first == 0 and stop == self.count:
            self.clear()
            return
        while first < stop:
            count = min(stop - first, DELETED_MAX)
            self._remove(self.tree.delete(first, first + count))
            stop -= count
            yield ROWS_A_DELETION + count

    def _remove(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._rows.discard(item_key(number))
        self.count -= len(numbers)

    def delete_each(self, places: range) -> Generator[int, None, None]:
        """Take out the values at positions in ascending order, as `delete`."""
        if len(places) * _SCATTERED < self.count:
            for place in reversed(places):
                self._remove(self.tree.delete(place, place + 1))
                yield ROWS_A_DELETION
            return
        numbers = yield from self.tree.all()
        for at in range(0, len(places), DELETED_MAX):
            some = [numbers[it] for it in places[at : at + DELETED_MAX]]
            self._remove(some)
            yield len(some)
        del numbers[places.start : places.stop : places.step]
        yield from self.tree.replace(numbers)

    def clear(self) -> None:
        """Take out all values; it is one row."""
        self._rows.delete_range(first=ITEM, stop=END)
        self.tree.clear()
        self.count = 0

    def write_node(self, number: int, row: bytes | None) -> None:
        """Write a node, or remove it."""
        if row is None:
            self._rows.discard(node_key(number))
        else:
            self._rows[node_key(number)] = row

    def save(self) -> Generator[int, None, None]:
        """Write what has changed, as `delete`."""
        yield from self.tree.flush(self.write_node)
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
    at_once(items.save())
    return True


def at_once(steps: Generator[object, None, None]) -> None:
    """Take steps that are few."""
    for _ in steps:
        pass


def insert(txn: Transaction, shape: Shape, position: int | None, values: list[bytes]) -> None:
    """Put values before a position, None = at the end; what is out of it is an end."""
    items = Items(txn, shape)
    items.insert(_place_before(items, position), values)
    at_once(items.save())


def insert_parts(
    txn: Transaction, shape: Shape, position: int | None, parts: list[memoryview]
) -> Steps:
    """As `insert`, a part a turn."""
    items, part = Items(txn, shape), Slice()
    place = _place_before(items, position)
    yield from part.paced(_insert_all(items, place, map(VALUES.decode, parts)))
    yield from part.paced(items.save())


def _insert_all(
    items: Items, place: int, parts: Iterable[list[bytes]]
) -> Generator[int, None, None]:
    for values in parts:
        items.insert(place, values)
        place += len(values)
        yield len(values)


def _place_before(items: Items, position: int | None) -> int:
    if position is None:
        return items.count
    if position < 0:
        return max(position + items.count, 0)
    return min(position, items.count)


def pop(txn: Transaction, shape: Shape, position: int) -> bytes | None:
    """Take out the value at a position."""
    items = Items(txn, shape)
    place = items.place(position)
    if place is None:
        return None
    found = items.value(place)
    at_once(items.delete(place, place + 1))
    at_once(items.save())
    return found


def delete(txn: Transaction, shape: Shape, span: Span) -> Steps:
    """Take out the values of a slice, so many a turn."""
    items, part = Items(txn, shape), Slice()
    places = _places(items, span)
    if places.step < 0:
        places = places[::-1]
    if places.step == 1 and places:
        yield from part.paced(items.delete(places.start, places.stop))
    elif places:
        yield from part.paced(items.delete_each(places))
    yield from part.paced(items.save())


def _places(items: Items, span: Span) -> range:
    """The positions of a slice."""
    return range(*slice(span.start, span.stop, span.step).indices(items.count))


def assign(
    txn: Transaction, shape: Shape, span: Span, values: list[bytes]
) -> Generator[None, None, int | None]:
    """Set a slice; how long it is, when it is not as long as what is given, and has to be."""
    return (yield from Slice().paced(_assign(Items(txn, shape), span, lambda: iter([values]))))


def assign_parts(
    txn: Transaction, shape: Shape, span: Span, parts: list[memoryview]
) -> Generator[None, None, int | None]:
    """As `assign`, a part a turn."""
    items = Items(txn, shape)
    return (yield from Slice().paced(_assign(items, span, lambda: map(VALUES.decode, parts))))


def _assign(
    items: Items, span: Span, lists: Callable[[], Iterator[list[bytes]]]
) -> Generator[int, None, int | None]:
    places = _places(items, span)
    if places.step == 1:
        yield from items.delete(places.start, max(places.start, places.stop))
        yield from _insert_all(items, places.start, lists())
    else:
        count = 0
        for values in lists():
            count += len(values)
            yield _ROWS_TO_DECODE
        if count != len(places):
            return len(places)
        yield from _set_all(items, places, lists())
    yield from items.save()
    return None


def _set_all(
    items: Items, places: range, parts: Iterator[list[bytes]]
) -> Generator[int, None, None]:
    left = iter(places)
    for values in parts:
        for value in values:
            items.set(next(left), value)
        yield len(values)


def remove(txn: Transaction, shape: Shape, position: int, version: int) -> bool:
    """Take out the value at a position, if nothing has changed since `version`."""
    items = Items(txn, shape)
    if items.version != version:
        return False
    at_once(items.delete(position, position + 1))
    at_once(items.save())
    return True


def reverse(txn: Transaction, shape: Shape) -> Steps:
    """Put the values into the opposite order."""
    yield from Slice().paced(_reverse(Items(txn, shape)))


def _reverse(items: Items) -> Generator[int, None, None]:
    numbers = yield from items.tree.all()
    numbers.reverse()
    yield from _rearranged(items, numbers)


def rearrange(txn: Transaction, shape: Shape, order: list[int], version: int) -> bool:
    """Put what was at position `order[i]` at i, if nothing has changed since `version`.

    Raises:
        BadArgument: the order is none of the positions.

    """
    items = Items(txn, shape)
    if items.version != version:
        return False
    at_once(_arrange(items, iter([order])))
    return True


def rearrange_parts(
    txn: Transaction, shape: Shape, parts: list[memoryview], version: int
) -> Generator[None, None, bool]:
    """As `rearrange`, a part a turn."""
    items = Items(txn, shape)
    if items.version != version:
        return False
    yield from Slice().paced(_arrange(items, map(PLACES.decode, parts)))
    return True


def _arrange(items: Items, parts: Iterator[list[int]]) -> Generator[int, None, None]:
    numbers = yield from items.tree.all()
    named, arranged = bytearray(items.count), list[int]()
    for order in parts:
        for place in order:
            if not 0 <= place < items.count or named[place]:
                raise BadArgument(_NO_ORDER)
            named[place] = 1
            arranged.append(numbers[place])
        yield len(order) // _PLACES_A_ROW
    if len(arranged) != items.count:
        raise BadArgument(_NO_ORDER)
    yield from _rearranged(items, arranged)


def _rearranged(items: Items, numbers: list[int]) -> Generator[int, None, None]:
    yield from items.tree.replace(numbers)
    yield from items.save()


def clear(txn: Transaction, shape: Shape) -> None:
    """Take out all values."""
    items = Items(txn, shape)
    items.clear()
    at_once(items.save())
