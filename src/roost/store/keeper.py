"""The keeper: makes applied write sets durable in LMDB, in order (D2).

Usually it is a process of its own (`keeper_process`, which says why); for tests, tools and the
simulator there is one that does the same in the calling process.  Both leave the work to `Engine`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from roost.store.base_reader import BaseReader
from roost.store.digest import DIGEST_ENTRIES
from roost.store.engine import Engine
from roost.store.errors import StoreError
from roost.store.snapshot import SnapshotFile, make_copy

if TYPE_CHECKING:
    import asyncio  # the keeper's process has no use for it, and starts in two thirds of the time


class Keeper(Protocol):
    """Makes payloads durable in order.

    `on_flushed(index)`, `on_failed(error)`, `on_digest(index, digest)`, `on_full()`,
    `on_progress()` and `on_moved(index, term)` are set by the store before anything is called.
    """

    on_full: Callable[[], None]
    on_progress: Callable[[], None]
    on_moved: Callable[[int, int], None]

    on_flushed: Callable[[int], None]
    on_digest: Callable[[int, bytes], None]
    on_failed: Callable[[StoreError], None]

    def reader(self) -> BaseReader:
        """Open what this keeper writes for reading; called once."""

    def add(self, index: int, term: int, payload: bytes) -> None:
        """Hand over the payload of log position `index`; cheap."""

    def flush(self, index: int, term: int) -> None:
        """Ask for everything up to `index`, an entry of `term`, to become durable."""

    def move(self, directory: Path) -> None:
        """Ask for the environment to be copied, compacted, to a new directory, and go on there."""

    def moved_reader(self) -> BaseReader:
        """Open for reading what was moved to."""

    def send_queued(self) -> None:
        """Move on what could not be handed over at once."""

    def watch(self, loop: "asyncio.AbstractEventLoop", on_news: Callable[[], None]) -> None:
        """Have the loop take answers as they come, and call `on_news` after them."""

    def unwatch(self, loop: "asyncio.AbstractEventLoop") -> None:
        """Stop that."""

    def wait(self, within_s: float | None = None) -> bool:
        """Block until all that was asked for is answered; False when it is not within that time."""

    def close(self) -> None:
        """End; nothing asked for before is waited for."""


class InlineKeeper:
    """A keeper in the calling process: for tests, tools and the simulator."""

    def __init__(
        self,
        directory: Path,
        *,
        is_synced: bool = True,
        digest_entries: int = DIGEST_ENTRIES,
    ) -> None:
        """Open the environment for writing; a simulator need not sync it."""
        self._engine = Engine(directory, is_synced=is_synced, digest_entries=digest_entries)
        self._engine.on_digest = self._on_digest
        self.on_digest: Callable[[int, bytes], None] = lambda _index, _digest: None
        self.on_flushed: Callable[[int], None] = lambda _index: None
        self.on_failed: Callable[[StoreError], None] = lambda _error: None
        self.on_full: Callable[[], None] = lambda: None
        self.on_progress: Callable[[], None] = lambda: None
        self.on_moved: Callable[[int, int], None] = lambda _index, _term: None
        self._reader: BaseReader | None = None

    def reader(self) -> BaseReader:
        """Read the environment we write."""
        self._reader = self._read()
        return self._reader

    def _read(self) -> BaseReader:
        """A reader of what we write, which hears of it before the map is moved."""
        self._engine.writer.on_growing = self._on_growing
        return self._engine.writer.reader()

    def _on_growing(self) -> None:
        if self._reader is not None:
            self._reader.on_closing("the file has outgrown its map")

    def _on_digest(self, index: int, total: bytes) -> None:
        self.on_digest(index, total)

    def copy(self, target: Path) -> SnapshotFile:
        """Copy the environment to a new file."""
        return make_copy(target, self._engine.writer.copy_to)

    def add(self, index: int, term: int, payload: bytes) -> None:
        """Merge one payload; a map can only grow while nobody reads."""
        reader = self._reader if self._engine.is_past_point(index) else None
        if reader is not None:
            reader.release()
        try:
            self._engine.add(index, term, payload)
        except StoreError as error:
            self.on_failed(error)
        if reader is not None:
            reader.refresh()

    def flush(self, index: int, term: int) -> None:
        """Commit at once; a map can only grow while nobody reads."""
        if self._reader is not None:
            self._reader.release()
        try:
            self._engine.flush(index, term)
        except StoreError as error:
            self.on_failed(error)
        else:
            self.on_flushed(index)

    def move(self, directory: Path) -> None:
        """Move at once."""
        if self._reader is not None:
            self._reader.on_closing("the file was replaced")
            self._reader.release()
        self.on_moved(*self._engine.move(directory))

    def moved_reader(self) -> BaseReader:
        """Read what was moved to."""
        return self._read()

    def send_queued(self) -> None:
        """Nothing waits."""

    def watch(self, loop: "asyncio.AbstractEventLoop", on_news: Callable[[], None]) -> None:
        """Every flush is answered before it returns."""

    def unwatch(self, loop: "asyncio.AbstractEventLoop") -> None:
        """Nothing was watched."""

    def wait(self, within_s: float | None = None) -> bool:
        """Nothing waits."""
        del within_s
        return True

    def close(self) -> None:
        """Close the environment."""
        self._engine.close()
