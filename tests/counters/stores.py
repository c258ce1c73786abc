"""Stores for tests: where they lie, and chance that is the same each time."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

from roost.counters.environment import LmdbTrees, MemoryTrees, Trees, Writes
from roost.counters.errors import CounterStoreError
from roost.counters.logged import LoggedTrees
from roost.counters.requests import Limits, Request
from roost.counters.store import Store


def entropy(seed: object = 0) -> Callable[[int], bytes]:
    return random.Random(str(seed)).randbytes


def make_trees(kind: str, directory: Path) -> Trees:
    """In memory, in LMDB, or as a member has them: with a log of steps above LMDB."""
    if kind == "memory":
        return MemoryTrees()
    return LmdbTrees(directory) if kind == "lmdb" else LoggedTrees(directory, log_bytes=32 << 10)


def open_store(seed: object = 0, trees: Trees | None = None, *, restored: bool = False) -> Store:
    return Store.open(trees or MemoryTrees(), entropy(seed), is_restored=restored)


def request(key: bytes = b"key", fingerprint: int = 1, now_s: float = 0.0) -> Request:
    return Request(key, fingerprint, now_s)


def limits(count_max: int, age_s: float = 100.0) -> Limits:
    return Limits(count_max, age_s)


class FailingTrees:
    """Trees of which one call fails: before it has done anything, or `late`, when it is done."""

    def __init__(self, inner: Trees, *, late: bool = False, is_quick: bool = False) -> None:
        self.inner = inner
        self.late = late
        self._is_quick = is_quick
        self.calls = 0
        self.fail_at = 0

    def _attempt(self) -> None:
        self.calls += 1
        if self.calls == self.fail_at and not self.late:
            raise CounterStoreError("injected")

    def _done(self) -> None:
        if self.calls == self.fail_at and self.late:
            raise CounterStoreError("injected")

    def get(self, tree: str, key: bytes) -> bytes | None:
        self._attempt()
        found = self.inner.get(tree, key)
        self._done()
        return found

    def scan(self, tree: str, first: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        self._attempt()
        yield from self.inner.scan(tree, first, stop)
        self._done()

    def count(self, tree: str) -> int:
        return self.inner.count(tree)

    def commit(self, writes: Writes) -> None:
        self._attempt()
        self.inner.commit(writes)
        self._done()

    def is_quick(self, rows_count: int) -> bool:
        return self._is_quick or self.inner.is_quick(rows_count)

    def refresh(self) -> None:
        self._attempt()
        self.inner.refresh()
        self._done()

    def bytes_used(self) -> int:
        return self.inner.bytes_used()

    def close(self) -> None:
        self.inner.close()
