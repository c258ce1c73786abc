"""A sequence of numbers as a tree of counts: any place is found, and changed, in a few rows.

Each node is one row of `NODE_MAX` numbers at most.  A leaf holds the numbers themselves; a node
above holds, for each child, its own number and how many numbers are below it.  All leaves are
equally deep (a B+ tree with counts, as ropes and SQL's "order statistic" trees have them):

    64 numbers in one row, 4,096 in two levels, 262,144 in three, 16 million in four.

What an operation changes is kept in memory until `flush`, which writes each row that has changed
once.  What goes through many nodes is steps, each of which says how many rows it took: a node of 64
numbers is as much as `NODE_ROWS` of others.  A node that becomes small takes its neighbour in when
both have room in one, so a sequence that shrinks gives its rows back; one that grows at its end
fills them.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from struct import Struct, unpack

NODE_MAX = 64
# A node with fewer is put together with its neighbour.
NODE_SMALL = NODE_MAX // 4
NODE_ROWS = 2


@dataclass(slots=True)
class Node:
    """A leaf has `items`; a node above has children in `items`, and `counts` of what is below."""

    items: list[int] = field(default_factory=list)
    counts: list[int] | None = None

    @property
    def total(self) -> int:
        """How many numbers are below it."""
        return len(self.items) if self.counts is None else sum(self.counts)

    def encode(self) -> bytes:
        """Its row: u64s."""
        numbers = [*self.items, *(self.counts or ())]
        return Struct(f">{len(numbers)}Q").pack(*numbers)


def decode_node(row: bytes, depth: int) -> Node:
    """A row, of a leaf when `depth` is 0."""
    numbers = list(unpack(f">{len(row) // 8}Q", row))
    if depth == 0:
        return Node(numbers)
    half = len(numbers) // 2
    return Node(numbers[:half], numbers[half:])


class CountedTree:
    """One of them; `root` 0 is an empty one.  `read` gives a row, `new` a number for a node."""

    def __init__(
        self, root: int, depth: int, *, read: Callable[[int], bytes], new: Callable[[], int]
    ) -> None:
        """Nothing is read before it is asked for."""
        self.root = root
        self.depth = depth
        self._read = read
        self._new = new
        self._nodes: dict[int, Node] = {}
        self._changed: dict[int, None] = {}
        self._gone: dict[int, None] = {}

    def __len__(self) -> int:
        """How many numbers there are."""
        return self._node(self.root, self.depth).total if self.root else 0

    def _node(self, number: int, depth: int) -> Node:
        found = self._nodes.get(number)
        if found is None:
            found = self._nodes[number] = decode_node(self._read(number), depth)
        return found

    def _make(self, node: Node) -> int:
        number = self._new()
        self._nodes[number] = node
        self._changed[number] = None
        return number

    def _drop(self, number: int) -> None:
        self._nodes.pop(number, None)
        self._changed.pop(number, None)
        self._gone[number] = None

    def flush(self, write: Callable[[int, bytes | None], None]) -> Generator[int, None, None]:
        """Write what has changed; None removes a row."""
        for number in self._gone:
            write(number, None)
            yield 1
        for number in self._changed:
            write(number, self._nodes[number].encode())
            yield NODE_ROWS
        self._gone, self._changed = {}, {}

    def clear(self) -> None:
        """Hold nothing, where all rows are removed by somebody else."""
        self.root = self.depth = 0
        self._nodes, self._changed, self._gone = {}, {}, {}

    def at(self, position: int) -> int:
        """The number at a position, which must be there."""
        number, depth = self.root, self.depth
        while depth:
            node = self._node(number, depth)
            assert node.counts is not None, "it is no leaf"
            place, position = _child_at(node.counts, position)
            number, depth = node.items[place], depth - 1
        return self._node(number, 0).items[position]

    def all(self) -> Generator[int, None, list[int]]:
        """All numbers, in order."""
        found: list[int] = []
        if self.root:
            yield from self._add_below(self.root, self.depth, found)
        return found

    def _add_below(self, number: int, depth: int, found: list[int]) -> Generator[int, None, None]:
        node = self._node(number, depth)
        yield NODE_ROWS
        if depth == 0:
            found += node.items
        else:
            for child in node.items:
                yield from self._add_below(child, depth - 1, found)

    def insert(self, position: int, numbers: Sequence[int]) -> None:
        """Put numbers before a position; that after the last one is the end."""
        if not self.root:
            for _ in self.replace(numbers):
                pass
            return
        for offset, number in enumerate(numbers):
            self._insert_one(position + offset, number)

    def _insert_one(self, position: int, number: int) -> None:
        sibling = self._insert(self.root, self.depth, position, number)
        if sibling is not None:
            children = [self.root, sibling]
            counts = [self._node(it, self.depth).total for it in children]
            self.depth += 1
            self.root = self._make(Node(children, counts))

    def _insert(self, at: int, depth: int, position: int, number: int) -> int | None:
        """Insert below a node; the node that had to be made beside it, if one had to."""
        node = self._node(at, depth)
        self._changed[at] = None
        if node.counts is None:
            node.items.insert(position, number)
        else:
            place, within = _child_for(node.counts, position)
            made = self._insert(node.items[place], depth - 1, within, number)
            node.counts[place] += 1
            if made is not None:
                moved = self._node(made, depth - 1).total
                node.counts[place] -= moved
                node.items.insert(place + 1, made)
                node.counts.insert(place + 1, moved)
        if len(node.items) <= NODE_MAX:
            return None
        # What grows at its end fills its nodes: an even cut would leave each of them half empty.
        is_end = position == node.total - 1
        cut = NODE_MAX if is_end else len(node.items) // 2
        rest = Node(node.items[cut:], None if node.counts is None else node.counts[cut:])
        del node.items[cut:]
        if node.counts is not None:
            del node.counts[cut:]
        return self._make(rest)

    def delete(self, first: int, stop: int) -> list[int]:
        """Remove the numbers from `first` to before `stop`, and return them."""
        removed: list[int] = []
        if first < stop:
            self._delete(self.root, self.depth, first, stop, removed)
            self._lower()
        return removed

    def _lower(self) -> None:
        """A root with nothing below goes, and one with a single child makes room for it."""
        while self.root:
            node = self._node(self.root, self.depth)
            if node.items and (self.depth == 0 or len(node.items) > 1):
                return
            below = node.items[0] if node.items else 0
            self._drop(self.root)
            self.root, self.depth = below, self.depth - 1 if below else 0

    def _delete(self, at: int, depth: int, first: int, stop: int, removed: list[int]) -> None:
        node = self._node(at, depth)
        self._changed[at] = None
        if node.counts is None:
            removed += node.items[first:stop]
            del node.items[first:stop]
            return
        place, begin = 0, 0
        while place < len(node.items) and begin < stop:
            count = node.counts[place]
            low, high = max(first - begin, 0), min(stop - begin, count)
            begin += count
            if low < high:
                self._delete(node.items[place], depth - 1, low, high, removed)
                node.counts[place] = count - (high - low)
            if node.counts[place]:
                place += 1
            else:
                self._drop(node.items[place])
                del node.items[place], node.counts[place]
        self._join_small(node, depth)

    def _join_small(self, node: Node, depth: int) -> None:
        """Put children that have become small together with neighbours, where one has room."""
        assert node.counts is not None, "it is no leaf"
        for place in range(len(node.items) - 2, -1, -1):
            pair = node.items[place : place + 2]
            if not any(self._is_small(it) for it in pair):
                continue
            left, right = (self._node(it, depth - 1) for it in pair)
            if len(left.items) + len(right.items) > NODE_MAX:
                continue
            left.items += right.items
            if left.counts is not None and right.counts is not None:
                left.counts += right.counts
            self._changed[pair[0]] = None
            self._drop(pair[1])
            node.counts[place] += node.counts[place + 1]
            del node.items[place + 1], node.counts[place + 1]

    def _is_small(self, number: int) -> bool:
        """Whether a node is known, as those are that have changed, and has much room."""
        node = self._nodes.get(number)
        return node is not None and len(node.items) < NODE_SMALL

    def replace(self, numbers: Sequence[int]) -> Generator[int, None, None]:
        """Hold other numbers, in other rows."""
        if self.root:
            yield from self._forget(self.root, self.depth)
        self.root = self.depth = 0
        made: list[int] = []
        for at in range(0, len(numbers), NODE_MAX):
            made.append(self._make(Node(list(numbers[at : at + NODE_MAX]))))
            yield 1
        while len(made) > 1:
            self.depth += 1
            below, made = made, []
            for at in range(0, len(below), NODE_MAX):
                children = below[at : at + NODE_MAX]
                made.append(self._make(Node(children, [self._nodes[it].total for it in children])))
                yield NODE_ROWS
        self.root = made[0] if made else 0

    def _forget(self, at: int, depth: int) -> Generator[int, None, None]:
        if depth:
            for child in self._node(at, depth).items:
                yield from self._forget(child, depth - 1)
        self._drop(at)
        yield 1


def _child_at(counts: Sequence[int], position: int) -> tuple[int, int]:
    """The child with the number at `position`, and the position in it."""
    for place, count in enumerate(counts):
        if position < count:
            return place, position
        position -= count
    raise AssertionError("the counts say that it is there")


def _child_for(counts: Sequence[int], position: int) -> tuple[int, int]:
    """The child that takes a number before `position`, and the position in it."""
    last = len(counts) - 1
    for place, count in enumerate(counts):
        if position <= count or place == last:
            return place, position
        position -= count
    raise AssertionError("a node has children")
