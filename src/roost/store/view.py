"""Reading through layers: a look-up goes from the top down, a scan merges (D2)."""

from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from operator import itemgetter

from roost.compiled import mypyc_attr
from roost.store.base_reader import BaseReader
from roost.store.layer import MISSING, Layer

_Item = tuple[bytes, int, bytes | None]


def _ranked(rank: int, items: Iterable[tuple[bytes, bytes | None]]) -> Iterator[_Item]:
    """Say of each item which layer it is from; the newest has rank 0."""
    for key, value in items:
        yield key, rank, value


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
            if value is not None:
                yield key, value

    def walk(
        self,
        tree_id: int,
        first: bytes = b"",
        stop: bytes | None = None,
        *,
        reverse: bool = False,
        keys_only: bool = False,
    ) -> Iterator[tuple[bytes, bytes | None]]:
        """As `iterate`, and None for each key that is passed because it was deleted above.

        Whoever reads in parts counts these as well: a range may have a million of them.
        """
        trees = [
            tree
            for layer in self._layers
            if (tree := layer.trees.get(tree_id)) is not None and (tree.values or tree.ranges)
        ]
        if not trees:
            yield from self._base.items(tree_id, first, stop, reverse=reverse, keys_only=keys_only)
            return
        sources = [
            _ranked(rank, tree.items(first, stop, reverse=reverse))
            for rank, tree in enumerate(trees)
        ]
        base = self._base.items(tree_id, first, stop, reverse=reverse, keys_only=keys_only)
        sources.append(_ranked(len(trees), base))
        # In a merge from the end the newer layer must still come first among equal keys, which
        # `merge` grants to earlier sources when only the key is compared.
        last: bytes | None = None
        for key, rank_found, value in merge(*sources, key=itemgetter(0), reverse=reverse):
            if key == last:
                continue  # a newer layer has spoken
            last = key
            if any(tree.hides(key) for tree in trees[:rank_found] if tree.ranges):
                value = None
            yield key, value

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
