"""Layers: ordered maps in memory that lie over one another, and over LMDB (D2).

A `TreeLayer` knows some keys of a tree: a value, or None for "deleted here".  Besides, it may
hide whole ranges of everything below it.  Keys are kept in a dict, and in order beside it
(`key_order`).  Ranges stand in order as well, none of them empty, and a gap between any two of
them: so whoever reads what lies below asks for the gaps (`TreeLayer.gaps`), and never comes to what
is hidden.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import islice, repeat
from typing import Final

from roost.parted import PartedMap
from roost.store.columns import Rows
from roost.store.key_order import BLOCK_COUNT_MAX, FRESH_COUNT_MAX, KeyOrder, KeyValues
from roost.store.runs import Run
from roost.store.write_set import (
    ANNOTATION,
    DELETE,
    DELETE_FROM,
    DELETE_RANGE,
    END_OF_ANNOTATED,
    PUT,
    Write,
    rows_of,
    split,
)

ENTRY_BYTES = 150  # what Python keeps for one key besides its bytes, roughly
# Of a long write: keys that are looked at in a step, and so many that are set in a tree are few.
SURVEY_COUNT, FEW_MAX = 4000, 200
# Keys of a layer that a step takes out which deletes a range of them.
DROPPED_COUNT: Final = 4000


class _Missing(Enum):
    MISSING = "missing"


MISSING: Final = _Missing.MISSING
# A value, None for "deleted here", or MISSING for "ask the layer below".
Found = bytes | None | _Missing
# From the first key on and before the stop; None = to the end.
KeyRange = tuple[bytes, bytes | None]


class TreeLayer:
    """What a layer knows of one tree."""

    __slots__ = ("_begins", "_order", "ranges", "values")

    def __init__(self) -> None:
        """Know nothing."""
        # Whoever sets a value, or None for "deleted here", does so in this map; a key goes away by
        # `drop` alone.
        self.values: KeyValues = PartedMap()
        # Only `hide` changes them; where each begins stands beside them.
        self.ranges: list[KeyRange] = []
        self._begins: list[bytes] = []
        # Most layers are small, and nobody asks for the order of their keys.
        self._order: KeyOrder | None = None

    @property
    def order(self) -> KeyOrder:
        """The keys of `values`."""
        order = self._order
        if order is None:
            order = self._order = KeyOrder(self.values)
        return order

    def put_in_order(self) -> None:
        """Put keys in order when many are not."""
        if len(self.values) > FRESH_COUNT_MAX and self.order.fresh_count > FRESH_COUNT_MAX:
            self.order.put_in_order()

    def get(self, key: bytes) -> Found:
        """A value, None for "deleted here", MISSING for "ask the layer below"."""
        value = self.values.get(key, MISSING)
        if value is MISSING and self.ranges and self.hides(key):
            return None
        return value

    def hides(self, key: bytes) -> bool:
        """Whether a deleted range covers `key`."""
        position = bisect_right(self._begins, key)
        if not position:
            return False
        stop = self.ranges[position - 1][1]
        return stop is None or key < stop

    def hide(self, first: bytes, stop: bytes | None) -> None:
        """Let nobody see what the layers below have in a range; what is known here stays."""
        if stop is not None and stop <= first:
            return
        ranges = self.ranges
        begin = bisect_right(self._begins, first)
        if begin:
            before, end = ranges[begin - 1]
            if end is None or end >= first:
                first, begin = before, begin - 1
        behind = begin
        while behind < len(ranges) and (stop is None or ranges[behind][0] <= stop):
            end = ranges[behind][1]
            stop = None if end is None or stop is None else max(stop, end)
            behind += 1
        ranges[begin:behind] = [(first, stop)]
        self._begins[begin:behind] = [first]

    def gaps(self, first: bytes, stop: bytes | None, *, reverse: bool) -> Iterator[KeyRange]:
        """The parts of a range that are not hidden, in order; the layer must not change meanwhile.

        They are found as they are asked for: there may be many.
        """
        return self._gaps_back(first, stop) if reverse else self._gaps(first, stop)

    def _gaps(self, first: bytes, stop: bytes | None) -> Iterator[KeyRange]:
        ranges = self.ranges
        place = first
        for position in range(max(0, bisect_right(self._begins, first) - 1), len(ranges)):
            begin, end = ranges[position]
            if stop is not None and begin >= stop:
                break
            if place < begin:
                yield place, begin
            if end is None:
                return
            place = max(place, end)
        if stop is None or place < stop:
            yield place, stop

    def _gaps_back(self, first: bytes, stop: bytes | None) -> Iterator[KeyRange]:
        ranges = self.ranges
        end = stop
        count = len(ranges) if stop is None else bisect_right(self._begins, stop)
        for position in range(count, 0, -1):
            begin, behind = ranges[position - 1]
            if behind is not None:
                if behind <= first:
                    break
                if end is None or behind < end:
                    yield behind, end
            end = begin if end is None else min(begin, end)
            if end <= first:
                return
        if end is None or first < end:
            yield first, end

    def delete_range(self, first: bytes, stop: bytes | None) -> None:
        """Delete everything in the range, here and below."""
        self.drop(first, stop)
        self.hide(first, stop)

    def drop(self, first: bytes, stop: bytes | None, count_max: int | None = None) -> int:
        """Know nothing of the keys of a range, of `count_max` at most; say of how many."""
        return len(self.order.take(first, stop, count_max)) if self.values else 0

    def keys(self) -> list[bytes]:
        """All keys of this layer, in order."""
        return self.order.keys()

    def items(
        self, first: bytes, stop: bytes | None, *, reverse: bool
    ) -> Iterator[tuple[bytes, bytes | None]]:
        """Keys and values in a range, in order; the layer must not change meanwhile."""
        values = self.values
        for key in self.order.iterate(first, stop, reverse=reverse):
            yield key, values[key]

    @property
    def row_count(self) -> int:
        """How many keys and ranges it knows."""
        return len(self.values) + len(self.ranges)

    def take_all(self) -> "Old":
        """Hand over all keys, values and ranges, for somebody to free; nothing is known here."""
        values, order, ranges, begins = self.values, self._order, self.ranges, self._begins
        self.values, self._order, self.ranges, self._begins = PartedMap(), None, [], []
        return Old(values, [] if order is None else order.take_blocks(), ranges, begins)

    def cover(self, above: "TreeLayer") -> None:
        """Take over what a newer layer knows."""
        for first, stop in above.ranges:
            self.delete_range(first, stop)
        self.values.cover(above.values)
        self.put_in_order()


class Old:
    """What a tree's layer knew, to be freed a part at a time: of a million keys it takes long."""

    __slots__ = ("_begins", "_blocks", "_ranges", "_values")

    def __init__(
        self,
        values: KeyValues,
        blocks: list[list[bytes]],
        ranges: list[KeyRange],
        begins: list[bytes],
    ) -> None:
        """Nobody else has these."""
        self._values, self._blocks = values, blocks
        self._ranges, self._begins = ranges, begins

    @property
    def count(self) -> int:
        """How many keys and ranges are left."""
        return len(self._values) + len(self._ranges)

    def free(self, count_max: int) -> int:
        """Free some; say how many."""
        values = self._values
        count = values.forget_latest(count_max)
        # Keys are freed with the last that has them.
        del self._blocks[len(values) // (BLOCK_COUNT_MAX // 2) :]
        left = max(0, len(self._ranges) - (count_max - count))
        count += len(self._ranges) - left
        del self._ranges[left:], self._begins[left:]
        return count


class Layer:
    """What one layer knows of all trees, and about how much memory that takes."""

    __slots__ = ("few_set", "said", "size_bytes", "trees")

    def __init__(self) -> None:
        """Know nothing."""
        self.trees: dict[int, TreeLayer] = {}
        self.size_bytes = 0
        # What `survey` has found in a layer that was complete then; of others nobody knows.
        self.few_set: dict[int, list[bytes]] | None = None
        # What a long operation says of all that it writes; of a layer of others nobody asks.
        self.said: list[tuple[int, bytes]] = []

    def tree(self, tree_id: int) -> TreeLayer:
        """The part for one tree, made when it is not there."""
        tree = self.trees.get(tree_id)
        if tree is None:
            tree = self.trees[tree_id] = TreeLayer()
        return tree

    def put(self, tree_id: int, key: bytes, value: bytes | None) -> None:
        """Set a value, or None for "deleted here"."""
        tree = self.trees.get(tree_id)
        if tree is None:
            tree = self.trees[tree_id] = TreeLayer()
        tree.values[key] = value
        self.size_bytes += len(key) + ENTRY_BYTES + (len(value) if value else 0)

    def put_rows(self, tree_id: int, names: list[bytes], values: list[bytes] | None) -> None:
        """Set many values; without values, all are "deleted here"."""
        if not names:
            return
        held = self.tree(tree_id).values
        size_bytes = sum(map(len, names)) + ENTRY_BYTES * len(names)
        if values is None:
            held.update(zip(names, repeat(None)))
        else:
            held.update(zip(names, values, strict=True))
            size_bytes += sum(map(len, values))
        self.size_bytes += size_bytes

    def delete_range(self, tree_id: int, first: bytes, stop: bytes | None) -> None:
        """Delete a range, here and below."""
        self.tree(tree_id).delete_range(first, stop)
        self.size_bytes += len(first) + ENTRY_BYTES

    def carry_out(self, payload: bytes) -> None:
        """Carry out a write set.

        Raises:
            MalformedWriteSet: it is none; nothing of it was carried out.

        """
        self.apply(rows_of(payload) or split(payload))

    def forget(self, tree_id: int, first: bytes, stop: bytes | None, count_max: int) -> int:
        """Know nothing of some keys of a range that will be deleted; of how many, 0 = of all."""
        tree = self.trees.get(tree_id)
        return 0 if tree is None else tree.drop(first, stop, count_max)

    def carry_out_part(self, payload: bytes) -> Iterator[None]:
        """Carry out a part of a long write, and keep what it says; nobody reads between two steps.

        The last step carries it out.  Before it goes what earlier parts have in ranges that this
        one deletes, which may be all that they wrote.

        Raises:
            MalformedWriteSet: as `carry_out`.

        """
        records = rows_of(payload) or split(payload)
        left = DROPPED_COUNT
        for it in records:
            if not isinstance(it, tuple) or it[0] not in (DELETE_RANGE, DELETE_FROM):
                continue
            _, tree_id, first, stop = it
            while dropped := self.forget(tree_id, first, stop, left):
                left -= dropped
                if not left:
                    yield
                    left = DROPPED_COUNT
        self.apply(records)
        for it in records:
            if isinstance(it, (Run, Rows)):
                continue
            kind, told, _, data = it
            if kind == ANNOTATION and told != END_OF_ANNOTATED:
                self.said.append((told, data or b""))

    def _put_run(self, run: Run) -> None:
        keys, values = run.keys, run.values
        if keys and values is not None:
            self.tree(run.tree_id).values.update(zip(keys, values, strict=True))
            # As often as it will stand in the file, which the quota goes by; not as it came.
            self.size_bytes += ENTRY_BYTES * len(keys) + sum(map(len, keys))
            self.size_bytes += sum(map(len, filter(None, values)))

    def apply(self, records: Sequence[Write | Rows | Run]) -> None:
        """Carry out the records of a write set."""
        trees = self.trees
        size = 0
        for it in records:
            if isinstance(it, Run):
                self._put_run(it)
                continue
            if isinstance(it, Rows):
                self.put_rows(it.tree_id, it.names, it.values)
                continue
            kind, tree_id, key, value = it
            if kind in (PUT, DELETE):
                tree = trees.get(tree_id)
                if tree is None:
                    tree = trees[tree_id] = TreeLayer()
                tree.values[key] = value
                size += len(key) + ENTRY_BYTES + (len(value) if value else 0)
            elif kind != ANNOTATION:
                assert kind in (DELETE_RANGE, DELETE_FROM), "decode knows all kinds"
                self.delete_range(tree_id, key, value)
        self.size_bytes += size

    @property
    def key_count(self) -> int:
        """How many keys it knows, of all trees."""
        return sum(len(tree.values) for tree in self.trees.values())

    @property
    def row_count(self) -> int:
        """How many keys and ranges it knows, of all trees."""
        return sum(tree.row_count for tree in self.trees.values())

    def survey(self) -> Iterator[None]:
        """Find the keys of each tree that have a value, a part a step; nobody writes any more.

        Where there are more than FEW_MAX they are not all told.
        """
        found: dict[int, list[bytes]] = {}
        left = SURVEY_COUNT
        for tree_id, tree in self.trees.items():
            few = found[tree_id] = []
            rows = tree.values.items()
            while len(few) <= FEW_MAX and (part := list(islice(rows, left))):
                few += [key for key, value in part if value is not None]
                left -= len(part)
                if not left:
                    yield
                    left = SURVEY_COUNT
        self.few_set = found

    def put_in_order(self) -> None:
        """Put keys in order; whoever builds a large layer does that now and then."""
        for tree in self.trees.values():
            tree.put_in_order()

    def cover(self, above: "Layer") -> None:
        """Take over what a newer layer knows."""
        # Trees are handed over last, and in one call: without memory for some of it, no tree is in
        # two layers, of which one will be emptied.
        fresh: dict[int, TreeLayer] = {}
        for tree_id, tree in above.trees.items():
            mine = self.trees.get(tree_id)
            if mine is None:
                fresh[tree_id] = tree
            else:
                mine.cover(tree)
        self.trees.update(fresh)
        self.size_bytes += above.size_bytes
