"""Layers over a base, beside dictionaries that say what must be seen through them."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from hypothesis import strategies as st

from roost.store.base_reader import BaseReader
from roost.store.layer import Layer
from roost.store.long_keys import Cut

TREE, OTHER = 7, 8
Rows = dict[bytes, bytes]
KEYS = st.sampled_from([b"", b"a", b"ab", b"b", b"b\0", b"c", b"d"])
STOPS = st.one_of(st.none(), KEYS)


class DictBase(BaseReader):
    """A base whose one tree is a dictionary."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.read_count = 0

    def get(self, tree_id: int, key: bytes) -> bytes | None:
        return self.rows.get(key) if tree_id == TREE else None

    def has(self, tree_id: int, key: bytes) -> bool:
        return self.get(tree_id, key) is not None

    def items(
        self,
        tree_id: int,
        first: bytes,
        stop: bytes | None,
        *,
        reverse: bool,
        keys_only: bool = False,
        covered: Sequence[dict[bytes, bytes | None]] = (),
    ) -> Iterator[tuple[bytes, bytes]]:
        rows = self.rows if tree_id == TREE else {}
        for key, value in in_range(rows, first, stop, reverse=reverse):
            self.read_count += 1
            is_read = not keys_only and not any(key in it for it in covered)
            yield key, value if is_read else b""

    def parts(
        self,
        tree_id: int,
        first: bytes,
        stop: bytes | None,
        *,
        reverse: bool,
        keys_only: bool = False,
        covered: Sequence[dict[bytes, bytes | None]] = (),
        inside: bytes | None = None,
    ) -> Iterator[tuple[bytes, bytes | Cut]]:
        return self.items(
            tree_id, first, stop, reverse=reverse, keys_only=keys_only, covered=covered
        )


class Write:
    """One change: of a key, which is deleted without a value, or of a range."""

    def __init__(
        self, key: bytes, value: bytes | None, stop: bytes | None, *, of_range: bool
    ) -> None:
        self.key, self.value, self.stop, self.of_range = key, value, stop, of_range

    def __repr__(self) -> str:
        """As an example that failed is shown."""
        if self.of_range:
            return f"<{self.key!r} ... {self.stop!r} deleted>"
        return f"<{self.key!r} = {self.value!r}>"

    def in_layer(self, layer: Layer) -> None:
        if self.of_range:
            layer.delete_range(TREE, self.key, self.stop)
        else:
            layer.put(TREE, self.key, self.value)

    def in_rows(self, rows: Rows) -> None:
        if self.of_range:
            for key, _ in in_range(rows, self.key, self.stop):
                del rows[key]
        elif self.value is None:
            rows.pop(self.key, None)
        else:
            rows[self.key] = self.value


VALUES = st.one_of(st.none(), st.sampled_from([b"", b"1", b"22"]))
WRITES = st.builds(Write, KEYS, VALUES, STOPS, of_range=st.booleans())


def in_range(
    rows: Rows, first: bytes, stop: bytes | None, *, reverse: bool = False
) -> list[tuple[bytes, bytes]]:
    """What a sorted list has in a range."""
    keys = sorted(rows)
    begin, end = bisect_left(keys, first), len(keys) if stop is None else bisect_left(keys, stop)
    found = [(key, rows[key]) for key in keys[begin:end]]
    return found[::-1] if reverse else found


def stacked(base: Rows, stack: Iterable[Iterable[Write]]) -> tuple[Rows, list[Layer]]:
    """What must be seen, and the layers it is seen through: each has one part of the writes."""
    rows, layers = dict(base), list[Layer]()
    for writes in stack:
        layers.insert(0, Layer())
        for write in writes:
            write.in_layer(layers[0])
            write.in_rows(rows)
    return rows, layers
