"""Reading through layers: a look-up goes from the top down, a scan merges (D2)."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from roost.compiled import mypyc_attr
from roost.store.base_reader import BaseReader
from roost.store.layer import MISSING, Layer, TreeLayer
from roost.store.long_keys import Cut, after_all

_Row = tuple[bytes, bytes | Cut | None]
_INSIDE: Final = Cut.INSIDE
# Between ranges that were deleted a reader may go away after so many gaps, each of which is looked
# for in all that lies below; of a long bound so many bytes, to the power of two, are another gap.
GAPS_A_PART = 64
_GAP_BYTES_LOG2: Final = 12
# The rows that lie below all layers, in a range.
_Items = Callable[[bytes, bytes | None], Iterator[_Row]]


class _Gaps:
    """How many gaps a walk has come through, in all layers, since it began or said where it is.

    It may have begun amid a gap: so it goes away only where it has got further.
    """

    __slots__ = ("_first", "_left", "_stop")

    def __init__(self, first: bytes, stop: bytes | None) -> None:
        self._first, self._stop = first, stop
        self._left = GAPS_A_PART

    def cut(self, begin: bytes, end: bytes | None, *, reverse: bool) -> bytes | None:
        """Where the reader may go away before this gap; None when it is to go on."""
        at: bytes | None = None
        if self._left <= 0:
            if not reverse:
                at = begin if begin > self._first else None
            elif end is not None and (self._stop is None or end < self._stop):
                at = end
            if at is not None:
                self._left = GAPS_A_PART
        self._left -= 1 + (len(begin) + (len(end) if end else 0) >> _GAP_BYTES_LOG2)
        return at


def _rows(
    trees: Sequence[TreeLayer],
    position: int,
    base: _Items,
    spent: _Gaps,
    first: bytes,
    stop: bytes | None,
    *,
    reverse: bool,
) -> Iterator[_Row]:
    """What a tree's layers from `position` on, and the base below them, have in a range."""
    if position == len(trees):
        return base(first, stop)
    tree, below = trees[position], position + 1
    if tree.ranges:
        lower = _in_gaps(trees, position, base, spent, first, stop, reverse=reverse)
    else:
        lower = _rows(trees, below, base, spent, first, stop, reverse=reverse)
    if not tree.values:
        return lower
    upper = tree.items(first, stop, reverse=reverse)
    return _over_back(upper, lower) if reverse else _over(upper, lower)


def _in_gaps(
    trees: Sequence[TreeLayer],
    position: int,
    base: _Items,
    spent: _Gaps,
    first: bytes,
    stop: bytes | None,
    *,
    reverse: bool,
) -> Iterator[_Row]:
    """What lies below a layer, where it hides nothing; gaps are looked for as they are come to.

    Of very many there may be nothing to hand out, so a cut comes after some.
    """
    for begin, end in trees[position].gaps(first, stop, reverse=reverse):
        at = spent.cut(begin, end, reverse=reverse)
        if at is not None:
            yield at, Cut.PASSED
        yield from _rows(trees, position + 1, base, spent, begin, end, reverse=reverse)


def _over(upper: Iterator[_Row], lower: Iterator[_Row]) -> Iterator[_Row]:
    """Two sources as one, in the order of keys; of a key that both have the upper one speaks.

    A cut of the lower one comes in the order of its key, and is left out where the upper one has
    that.
    """
    above = next(upper, None)
    if above is not None:
        for row in lower:
            key = row[0]
            while above is not None and above[0] < key:
                yield above
                above = next(upper, None)
            if above is None:
                yield row
                break
            if above[0] == key:
                continue  # it comes before the next one
            yield row
    if above is None:
        yield from lower
        return
    yield above
    yield from upper


def _over_back(upper: Iterator[_Row], lower: Iterator[_Row]) -> Iterator[_Row]:
    """As `_over`, from the last key to the first; where the lower one is inside says it alone."""
    above = next(upper, None)
    if above is not None:
        for row in lower:
            key = row[0]
            if row[1] is _INSIDE:
                yield row
                continue
            while above is not None and above[0] > key:
                yield above
                above = next(upper, None)
            if above is None:
                yield row
                break
            if above[0] == key:
                continue
            yield row
    if above is None:
        yield from lower
        return
    yield above
    yield from upper


@mypyc_attr(allow_interpreted_subclasses=True)
class View:
    """A stack of layers over the base; the newest layer is first.

    One thread: a synchronous reader sees one state.
    """

    __slots__ = ("_base", "_layers")

    def __init__(self, layers: Sequence[Layer], base: BaseReader) -> None:
        """Look through `layers`, then into `base`."""
        self._layers = layers
        self._base = base

    def under(self, layer: Layer) -> "View":
        """What is read through another layer above this; good for this turn of the loop."""
        return View([layer, *self._layers], self._base)

    def get(self, tree_id: int, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        for layer in self._layers:
            tree = layer.trees.get(tree_id)
            if tree is not None:
                value = tree.values.get(key, MISSING)
                if value is not MISSING:
                    return value
                if tree.ranges and tree.hides(key):
                    return None
        return self._base.get(tree_id, key)

    def has(self, tree_id: int, key: bytes) -> bool:
        """Whether a key has a value."""
        for layer in self._layers:
            tree = layer.trees.get(tree_id)
            if tree is not None:
                value = tree.values.get(key, MISSING)
                if value is not MISSING:
                    return value is not None
                if tree.ranges and tree.hides(key):
                    return False
        return self._base.has(tree_id, key)

    def iterate(
        self,
        tree_id: int,
        first: bytes = b"",
        stop: bytes | None = None,
        *,
        reverse: bool = False,
        keys_only: bool = False,
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values in a range, in order: `first` inclusive, `stop` exclusive, None = end.

        With `keys_only` values of the base are not read, and b"" stands for them.
        The store must not be written to while the iterator is in use.
        """
        if not any(tree_id in layer.trees for layer in self._layers):
            yield from self._base.items(tree_id, first, stop, reverse=reverse, keys_only=keys_only)
            return
        rows = self.walk(tree_id, first, stop, reverse=reverse, keys_only=keys_only)
        for key, value in rows:
            if value is not None and not isinstance(value, Cut):
                yield key, value

    def walk(
        self,
        tree_id: int,
        first: bytes = b"",
        stop: bytes | None = None,
        *,
        reverse: bool = False,
        keys_only: bool = False,
        inside: bytes | None = None,
    ) -> Iterator[tuple[bytes, bytes | Cut | None]]:
        """As `iterate`, and None for each key that is passed because it was deleted above.

        Whoever reads in parts counts these as well: a range may have a million of them.  Of what
        lies in a range that was deleted as such nothing is passed.  And there are cuts, between
        keys that are far from each other (`BaseReader.parts`), and between many such ranges;
        `inside` is that of one.
        """
        trees = [
            tree
            for layer in self._layers
            if (tree := layer.trees.get(tree_id)) is not None and (tree.values or tree.ranges)
        ]
        base = self._base
        covered = [part for tree in trees for part in tree.values.parts if part]
        behind = None if inside is None else after_all(inside)

        def items_of_base(first: bytes, stop: bytes | None) -> Iterator[_Row]:
            if behind is not None and behind <= first:
                return iter(())  # it has been here
            is_there = stop is None or (behind is not None and behind <= stop)
            return base.parts(
                tree_id,
                first,
                stop,
                reverse=reverse,
                keys_only=keys_only,
                covered=covered,
                inside=inside if is_there else None,
            )

        # All behind `inside` is passed, whatever gaps are there.
        last = stop if behind is None or (stop is not None and stop < behind) else behind
        return _rows(trees, 0, items_of_base, _Gaps(first, last), first, stop, reverse=reverse)

    def scan(
        self,
        tree_id: int,
        first: bytes = b"",
        stop: bytes | None = None,
        *,
        reverse: bool = False,
        limit: int | None = None,
    ) -> list[tuple[bytes, bytes]]:
        """Like `iterate`, as a list of `limit` items at most."""
        found: list[tuple[bytes, bytes]] = []
        if limit is not None and limit <= 0:
            return found
        for item in self.iterate(tree_id, first, stop, reverse=reverse):
            found.append(item)
            if len(found) == limit:
                break
        return found

    def count(self, tree_id: int, first: bytes = b"", stop: bytes | None = None) -> int:
        """How many keys are in a range; takes as long as walking over them."""
        return sum(1 for _ in self.iterate(tree_id, first, stop, keys_only=True))
