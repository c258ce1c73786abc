"""A transaction: reads through everything proposed so far, writes into a layer of its own."""

from collections.abc import Sequence

from roost.store.base import BaseReader
from roost.store.catalog import CATALOG_ID, FIRST_TREE_ID, Tree, check_name
from roost.store.layer import Layer
from roost.store.view import View
from roost.store.write_set import (
    ANNOTATION,
    DELETE,
    DELETE_FROM,
    DELETE_RANGE,
    HEAD,
    PUT,
    PUT_SAME,
    decode,
)

Mark = int


class Txn(View):
    """Reads and writes of operations that run one after another.

    The writes become one write set, in order.  `rollback(savepoint())` undoes what a refused
    operation wrote, at the cost of carrying out the rest of the write set again.
    """

    __slots__ = ("_parts", "layer", "size_bytes")

    def __init__(self, below: Sequence[Layer], base: BaseReader) -> None:
        """Begin over `below`, newest first."""
        self.layer = Layer()
        self._parts: list[bytes] = []
        self.size_bytes = 0
        super().__init__([self.layer, *below], base)

    def put(self, tree_id: int, key: bytes, value: bytes) -> None:
        """Set the value of a key."""
        self._parts += (HEAD.pack(PUT, tree_id, len(key), len(value)), key, value)
        self.size_bytes += len(key) + len(value)
        self.layer.put(tree_id, key, value)

    def put_same(self, tree_id: int, key: bytes, value: bytes) -> None:
        """Set a key to the value of the last put, which is `value`; it is carried once."""
        self._parts += (HEAD.pack(PUT_SAME, tree_id, len(key), 0), key)
        self.size_bytes += len(key)
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

    def annotate(self, kind: int, data: bytes) -> None:
        """Tell observers on every member something that is not in a tree."""
        self._parts += (HEAD.pack(ANNOTATION, kind, 0, len(data)), data)
        self.size_bytes += len(data)

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
        return not self._parts

    def savepoint(self) -> Mark:
        """A mark to come back to."""
        return len(self._parts)

    def rollback(self, mark: Mark) -> None:
        """Undo every write since `mark`."""
        if len(self._parts) == mark:
            return
        del self._parts[mark:]
        self.layer.trees.clear()
        self.layer.size_bytes = 0
        self.size_bytes = sum(map(len, self._parts))
        self.layer.apply(decode(self.encode()))

    def encode(self) -> bytes:
        """The write set."""
        return b"".join(self._parts)
