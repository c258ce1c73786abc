"""A transaction: reads through everything proposed so far, writes into a layer of its own."""

from collections.abc import Sequence

from roost.store.base_reader import BaseReader
from roost.store.catalog import CATALOG_ID, FIRST_TREE_ID, Tree, check_name
from roost.store.columns import Column, encode_columns, encode_keys, make_rows
from roost.store.layer import Layer
from roost.store.view import View
from roost.store.write_set import (
    ANNOTATION,
    DELETE,
    DELETE_FROM,
    DELETE_RANGE,
    END_OF_ANNOTATED,
    HEAD,
    HEAD_BYTES,
    PUT,
    PUT_SAME,
    ROWS,
    decode,
)

# How much was written in order, and what stands in `put_latest`.
_Latest = tuple[tuple[int, bytes, bytes], ...]
Mark = tuple[int, _Latest]


class Txn(View):
    """Reads and writes of operations that run one after another.

    The writes become one write set, in order.  `rollback(savepoint())` undoes what a refused
    operation wrote, at the cost of carrying out the rest of the write set again.
    """

    __slots__ = ("_latest", "_parts", "layer", "size_bytes")

    def __init__(self, below: Sequence[Layer], base: BaseReader) -> None:
        """Begin over `below`, newest first."""
        self.layer = Layer()
        self._parts: list[bytes] = []
        self._latest: _Latest = ()
        self.size_bytes = 0
        super().__init__([self.layer, *below], base)

    def put(self, tree_id: int, key: bytes, value: bytes) -> None:
        """Set the value of a key."""
        key_bytes, value_bytes = len(key), len(value)
        self._parts += (HEAD.pack(PUT, tree_id, key_bytes, value_bytes), key, value)
        self.size_bytes += key_bytes + value_bytes
        self.layer.put(tree_id, key, value)

    def put_same(self, tree_id: int, key: bytes, value: bytes) -> None:
        """Set a key to the value of the last put, which is `value`; it is carried once."""
        self._parts += (HEAD.pack(PUT_SAME, tree_id, len(key), 0), key)
        self.size_bytes += len(key)
        self.layer.put(tree_id, key, value)

    def put_latest(self, tree_id: int, key: bytes, value: bytes) -> None:
        """Set a key that every operation of a write set rewrites: only its last value is carried.

        It is written after everything else, so such a key must never be deleted.
        """
        latest, row = self._latest, (tree_id, key, value)
        if len(latest) == 1 and latest[0][:2] == (tree_id, key):
            self.size_bytes += len(value) - len(latest[0][2])
            self._latest = (row,)
        else:
            others = [it for it in latest if it[:2] != (tree_id, key)]
            self._latest = (*others, row)
            self.size_bytes += _bytes_of(self._latest) - _bytes_of(latest)
        self.layer.put(tree_id, key, value)

    def delete(self, tree_id: int, key: bytes) -> None:
        """Remove a key, if it is there."""
        self._parts += (HEAD.pack(DELETE, tree_id, len(key), 0), key)
        self.size_bytes += len(key)
        self.layer.put(tree_id, key, None)

    def delete_range(self, tree_id: int, first: bytes, stop: bytes | None = None) -> None:
        """Remove all keys from `first` to before `stop`, or to the end."""
        if stop is None:
            self._parts += (HEAD.pack(DELETE_FROM, tree_id, len(first), 0), first)
        else:
            self._parts += (HEAD.pack(DELETE_RANGE, tree_id, len(first), len(stop)), first, stop)
        self.size_bytes += len(first)
        self.layer.delete_range(tree_id, first, stop)

    def write_rows(self, columns: Sequence[Column], keys: list[bytes]) -> None:
        """Write the rows that follow from `keys`, which are carried once; see `columns`."""
        said, carried = encode_columns(columns), encode_keys(keys)
        self._parts += (HEAD.pack(ROWS, 0, len(said), len(carried)), said, carried)
        self.size_bytes += len(said) + len(carried)
        for rows in make_rows(columns, keys):
            self.layer.put_rows(rows.tree_id, rows.names, rows.values)

    def annotate(self, kind: int, data: bytes) -> None:
        """Tell observers on every member something that is not in a tree."""
        self._parts += (HEAD.pack(ANNOTATION, kind, 0, len(data)), data)
        self.size_bytes += len(data)

    def tell(self, mark: Mark, said: Sequence[tuple[int, bytes]]) -> None:
        """Annotate what was written since `mark`, and nothing else: (kind, data) of each.

        Marks that were made since must not be come back to.
        """
        before: list[bytes] = []
        for kind, data in said:
            before += (HEAD.pack(ANNOTATION, kind, 0, len(data)), data)
            self.size_bytes += len(data)
        self._parts[mark[0] : mark[0]] = before
        self._parts.append(HEAD.pack(ANNOTATION, END_OF_ANNOTATED, 0, 0))

    def tree(self, name: str) -> Tree:
        """The tree of that name; made, on every member, when it is not there.

        Raises:
            BadTreeName: the name breaks the rules.

        """
        check_name(name)
        held = self.get(CATALOG_ID, name.encode())
        if held is not None:
            return Tree(int.from_bytes(held, "big"), name)
        ids = [int.from_bytes(value, "big") for _, value in self.iterate(CATALOG_ID)]
        tree_id = max([FIRST_TREE_ID - 1, *ids]) + 1
        self.put(CATALOG_ID, name.encode(), tree_id.to_bytes(2, "big"))
        return Tree(tree_id, name)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was written."""
        return not self._parts and not self._latest

    @property
    def encoded_bytes(self) -> int:
        """At least the size of the write set."""
        return self.size_bytes + HEAD_BYTES * (len(self._parts) + len(self._latest))

    def savepoint(self) -> Mark:
        """A mark to come back to."""
        return len(self._parts), self._latest

    def rollback(self, mark: Mark) -> None:
        """Undo every write since `mark`."""
        if self.savepoint() == mark:
            return
        count, self._latest = mark
        del self._parts[count:]
        self.layer.trees.clear()
        self.layer.size_bytes = 0
        self.size_bytes = sum(map(len, self._parts)) + _bytes_of(self._latest)
        self.layer.apply(decode(self.encode()))

    def take_part(self, *, is_last: bool) -> bytes:
        """Hand over what was written since the last call, as a write set; the layer stays.

        What is written by `put_latest` is in the last part alone.  There is no way back then.
        """
        parts, self._parts = self._parts, []
        if is_last:
            return self._encode(parts)
        self.size_bytes = _bytes_of(self._latest)
        return b"".join(parts)

    def encode(self) -> bytes:
        """The write set."""
        return self._encode(self._parts.copy() if self._latest else self._parts)

    def _encode(self, parts: list[bytes]) -> bytes:
        for tree_id, key, value in self._latest:
            parts += (HEAD.pack(PUT, tree_id, len(key), len(value)), key, value)
        return b"".join(parts)


def _bytes_of(latest: _Latest) -> int:
    return sum(len(key) + len(value) for _, key, value in latest)
