"""Trees in memory, under the same transactions and the same read handles as a database's."""

import asyncio
from bisect import bisect_left, insort
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from roost.database import Transaction
from roost.database.aio import ReadTree
from roost.database.limits import TreeLimits
from roost.series.draft import spend_nothing
from roost.series.generations import Records
from roost.series.reading import Reading, open_reading
from roost.series.slicing import Slicing
from roost.series.staging import Rewrite, freeze, put_blocks
from roost.series.trees import Trees, trees_of

R = TypeVar("R")
Row = tuple[bytes, bytes]


class MemoryTrees:
    """Named trees; what a transaction (`Rows`) and a read handle (`Source`) ask for."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[bytes, bytes]] = {}
        self.keys: dict[str, list[bytes]] = {}
        self.written_bytes = 0

    async def ready(self) -> None:
        """All is there."""

    def open(self, tree: str, _keys: str, _values: str) -> Any:  # Any: an id, or nothing
        self.rows.setdefault(tree, {})
        self.keys.setdefault(tree, [])
        return tree

    def get(self, tree: Any, key: bytes) -> bytes | None:
        return self.rows[tree].get(key)

    def range(self, tree: str, first: bytes, stop: bytes | None) -> list[bytes]:
        keys = self.keys[tree]
        end = len(keys) if stop is None else bisect_left(keys, stop)
        return keys[bisect_left(keys, first) : end]

    def scan(
        self, tree: Any, first: bytes, stop: bytes | None, *, reverse: bool, limit: int
    ) -> list[Row]:
        keys = self.range(tree, first, stop)
        chosen = keys[::-1][:limit] if reverse else keys[:limit]
        return [(key, self.rows[tree][key]) for key in chosen]

    def parts(
        self,
        tree: Any,
        first: bytes,
        stop: bytes | None,
        *,
        reverse: bool = False,
        keys_only: bool = False,
    ) -> "MemoryParts":
        assert not keys_only, "nobody counts"
        return MemoryParts(self, tree, first, stop, is_reverse=reverse)

    def put(self, tree: str, key: bytes, value: bytes) -> None:
        self.written_bytes += len(key) + len(value)
        if key not in self.rows[tree]:
            insort(self.keys[tree], key)
        self.rows[tree][key] = value

    def delete(self, tree: str, key: bytes) -> None:
        self.delete_range(tree, key, key + b"\0")

    def forget(self, _tree: str, _first: bytes, _stop: bytes | None) -> int:
        return 0

    def delete_range(self, tree: str, first: bytes, stop: bytes | None) -> None:
        self.written_bytes += len(first) + len(stop or b"")
        for key in self.range(tree, first, stop):
            del self.rows[tree][key]
            self.keys[tree].remove(key)

    def describe(self, _tree: str, _purpose: str, _limits: TreeLimits) -> None:
        """Nobody reads it."""

    def annotate(self, _kind: int, _data: bytes) -> None:
        """Nobody observes."""

    def savepoint(self) -> object:
        raise NotImplementedError("nobody goes back")

    def rollback(self, _mark: object) -> None:
        raise NotImplementedError("nobody goes back")

    def tree(self, name: str) -> ReadTree[bytes, bytes]:
        return ReadTree(name, bytes, bytes, self)

    def run(self, operation: Callable[..., R], *given: Any) -> R:
        """An operation, as it runs where the cluster leads."""
        return operation(Transaction(self), *given)


class MemoryParts:
    """A range in parts (`Parts`); what is written on the way is seen."""

    def __init__(
        self, trees: MemoryTrees, tree: str, first: bytes, stop: bytes | None, *, is_reverse: bool
    ) -> None:
        self._trees, self._tree = trees, tree
        self._first, self._stop = first, stop
        self._is_reverse = is_reverse
        self.is_done = False

    def take(self, count_max: int) -> list[Row]:
        found = self._trees.scan(
            self._tree, self._first, self._stop, reverse=self._is_reverse, limit=count_max
        )
        self.is_done = len(found) < count_max
        if found and self._is_reverse:
            self._stop = found[-1][0]
        elif found:
            self._first = found[-1][0] + b"\0"
        return found


def now(work: Coroutine[Any, Any, R]) -> R:
    """What comes of work that waits for nothing but turns of the loop."""
    with asyncio.Runner() as runner:
        return runner.run(work)


async def here(work: Callable[[], R]) -> R:
    """For `Aside`: no thread."""
    return work()


class Member:
    """Trees, and who seals and reads them."""

    def __init__(self) -> None:
        self.memory = MemoryTrees()
        self.trees: Trees = trees_of(self.memory)
        self.records = Records()
        self.slicing = Slicing(self.trees, self.records, here, spend_nothing)

    def run(self, operation: Callable[..., R], *given: Any) -> R:
        return self.memory.run(operation, *given)

    async def slice(self) -> Rewrite | None:
        """Seal one slice."""
        found = await self.slicing.slice()
        if found is not None:
            self.run(put_blocks, found)
        return found

    async def seal(self) -> None:
        """Seal everything that is staged."""
        while self.run(freeze):
            while await self.slice():
                continue

    async def reading(self) -> Reading:
        return await open_reading(self.trees, self.records, spend_nothing, here)
