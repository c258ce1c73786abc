"""Copies of one member's store: made, lent to whoever needs one, removed when nobody does.

A copy is made by a process of its own while writes go on.  The newest one serves everybody who
asks while it can be followed by our journal; it is removed when nobody has used it for IDLE_S.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from roost.member.cluster.roster import CONFIGURATION_KEY
from roost.member.directory.home import Home
from roost.member.errors import SnapshotFailed
from roost.member.machine.world import World
from roost.peer import Head
from roost.raft import Configuration
from roost.store import SnapshotFile, StoreError, read_metadata

logger = logging.getLogger(__name__)
IDLE_S = 60.0


@dataclass(slots=True)
class Copy:
    """A copy that can be sent."""

    path: Path
    file: SnapshotFile
    configuration: Configuration
    used_s: float
    user_count: int = 0

    @property
    def head(self) -> Head:
        """What the receiver is told first."""
        file = self.file
        return Head(
            index=file.index, term=file.term, size_bytes=file.size_bytes, digest=file.digest
        )


class Copies:
    """Makes and lends; `discard(file)` removes one that is not needed any more."""

    def __init__(self, home: Home, *, world: World, discard: Callable[[Path], None]) -> None:
        """There is no copy."""
        self._home = home
        self._world = world
        self._discard = discard
        self.newest: Copy | None = None
        self._made_count = 0
        self._making = asyncio.Lock()
        self._flush_waiters: list[asyncio.Future[None]] = []

    async def make(self, index_min: int) -> Copy:
        """A copy that holds entry `index_min`, and that our journal follows.

        Raises:
            SnapshotFailed: the process that copies failed.

        """
        async with self._making:
            loop = asyncio.get_running_loop()
            copy = self.newest
            wanted = max(index_min, self._home.journal.first_index - 1)
            if copy is None or copy.file.index < wanted:
                await self._wait_durable(wanted)
                copy = await self._copy()
                self._drop_newest()
                self.newest = copy
            copy.used_s = loop.time()
            return copy

    @asynccontextmanager
    async def lend(self, index_min: int) -> AsyncIterator[Path]:
        """A copy that holds entry `index_min`, kept for as long as it is used."""
        with self.using(await self.make(index_min)) as copy:
            yield copy.path

    @contextmanager
    def using(self, copy: Copy) -> Iterator[Copy]:
        """Keep a copy while it is used: whoever uses it may yet have to open it."""
        copy.user_count += 1
        try:
            yield copy
        finally:
            copy.user_count -= 1
            copy.used_s = asyncio.get_running_loop().time()
            if copy is not self.newest and not copy.user_count:
                self._discard(copy.path)

    async def _wait_durable(self, index: int) -> None:
        """Return when the store has `index` durably."""
        store = self._home.store
        while store.durable_index < index:
            store.flush()
            if store.durable_index >= index:
                return  # a keeper in this process answers at once
            flushed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._flush_waiters.append(flushed)
            await flushed

    def on_flushed(self) -> None:
        """The store has made something durable."""
        waiters, self._flush_waiters = self._flush_waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _copy(self) -> Copy:
        loop = asyncio.get_running_loop()
        # The count, because a loop may tell one time twice; the time, because a file of the member
        # that ran here before may only now be removed.
        self._made_count += 1
        name = f"{loop.time():.6f}-{self._made_count}.mdb"
        path = self._home.snapshot_directory / name
        try:
            file = await self._copy_to(path)
        except StoreError as error:
            self._home.store.on_failure(error)
            raise SnapshotFailed(f"the store cannot be copied: {error}") from error
        encoded = read_metadata(path, CONFIGURATION_KEY)
        assert encoded is not None, "every store has a configuration"
        configuration = msgspec.json.decode(encoded, type=Configuration)
        logger.info("snapshot at %d:%d, %d bytes", file.term, file.index, file.size_bytes)
        return Copy(path, file, configuration, loop.time())

    async def _copy_to(self, path: Path) -> SnapshotFile:
        """Copy the store, again when it has moved before it was opened."""
        while True:
            directory = self._home.store_directory
            try:
                return await self._world.copy_store(directory, path)
            except SnapshotFailed:
                if directory == self._home.store_directory:
                    raise
                await self._world.remove_file(path)

    def _drop_newest(self) -> None:
        copy, self.newest = self.newest, None
        if copy is not None and not copy.user_count:
            self._discard(copy.path)

    def drop_idle(self) -> None:
        """Remove a copy that nobody has used for a while; called now and then."""
        copy = self.newest
        if copy is None or copy.user_count or self._making.locked():
            return
        if asyncio.get_running_loop().time() - copy.used_s > IDLE_S:
            self._drop_newest()
