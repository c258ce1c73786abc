"""Snapshots of one member: made and sent for peers that need one, fetched when we need one (D6).

A copy is made by a process of its own while writes go on, and sent on a connection of its own.
The newest copy serves everybody who asks while it can be followed by our journal; it is removed
when nobody has asked for IDLE_S.

A fetch writes to a file, goes on where it was when the connection is cut, and checks the whole
before anything of ours is touched.  After ATTEMPTS_MAX attempts without a byte it is given up,
and the leader told so.

Full?  More than TASKS_MAX transfers at once are not begun: the connection is closed.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from roost.errors import UNDECODABLE, PeerFault
from roost.member.cluster.roster import CONFIGURATION_KEY
from roost.member.directory.home import Home
from roost.member.errors import SnapshotFailed
from roost.member.machine.world import World
from roost.peer import (
    INVITATION,
    REFUSAL,
    Head,
    Incoming,
    Joins,
    Pull,
    Refusal,
    SnapshotDamaged,
    SnapshotGone,
    Stream,
    pull,
    send_file,
)
from roost.raft import Configuration, Snapshot
from roost.store import SnapshotFile, StoreError, read_applied_file, read_metadata
from roost.tasks import Tasks

logger = logging.getLogger(__name__)
IDLE_S = 60.0
ATTEMPTS_MAX = 10
TASKS_MAX = 16
_RETRY_S = 0.2
Address = tuple[str, int]


@dataclass(slots=True)
class Made:
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


class Snapshots:
    """Makes, sends and fetches; everything it starts ends with `close`."""

    def __init__(
        self,
        home: Home,
        *,
        world: World,
        bytes_per_s: int,
        dial: Callable[[int, Address], Awaitable[Stream]],
    ) -> None:
        """Nothing runs; `dial(member_id, address)` gives a stream for snapshots."""
        self._home = home
        self._dial = dial
        self._world = world
        self._bytes_per_s = bytes_per_s
        self._flush_waiters: list[asyncio.Future[None]] = []
        self._made: Made | None = None
        self._making = asyncio.Lock()
        self._tasks = Tasks()
        self._transfers: set[asyncio.Task[None]] = set()
        self._fetch: asyncio.Task[None] | None = None
        self._fetch_count = 0
        self._is_ending = False

    @property
    def task_count(self) -> int:
        """Transfers and copies under way; zero when idle."""
        return len(self._tasks)

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run something that `close` ends; its errors reach the loop's handler."""
        return self._tasks.start(work)

    def cancel(self) -> None:
        """End every transfer, without waiting for the end."""
        self._is_ending = True
        self._tasks.cancel()

    async def close(self) -> None:
        """End every transfer."""
        self._is_ending = True
        await self._tasks.close()

    # --- making and sending ---------------------------------------------------------------------

    async def make(self, index_min: int, first_index: Callable[[], int]) -> Made:
        """A copy that holds entry `index_min`, and that our journal follows.

        Raises:
            SnapshotFailed: the process that copies failed.

        """
        async with self._making:
            loop = asyncio.get_running_loop()
            made = self._made
            wanted = max(index_min, first_index() - 1)
            if made is None or made.file.index < wanted:
                await self._wait_durable(wanted)
                made = await self._copy()
                self._drop_made()
                self._made = made
            made.used_s = loop.time()
            return made

    @asynccontextmanager
    async def lend(self, index_min: int, first_index: Callable[[], int]) -> AsyncIterator[Path]:
        """A copy that holds entry `index_min`, kept for as long as it is used."""
        with self._using(await self.make(index_min, first_index)) as made:
            yield made.path

    @contextmanager
    def _using(self, made: Made) -> Iterator[Made]:
        """Keep a copy while it is used: whoever uses it may yet have to open it."""
        made.user_count += 1
        try:
            yield made
        finally:
            made.user_count -= 1
            made.used_s = asyncio.get_running_loop().time()
            if made is not self._made and not made.user_count:
                self.discard(made.path)

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

    async def _copy(self) -> Made:
        loop = asyncio.get_running_loop()
        path = self._home.snapshot_directory / f"{loop.time():.6f}.mdb"
        try:
            file = await self._copy_to(path)
        except StoreError as error:
            self._home.store.on_failure(error)
            raise SnapshotFailed(f"the store cannot be copied: {error}") from error
        encoded = read_metadata(path, CONFIGURATION_KEY)
        assert encoded is not None, "every store has a configuration"
        configuration = msgspec.json.decode(encoded, type=Configuration)
        logger.info("snapshot at %d:%d, %d bytes", file.term, file.index, file.size_bytes)
        return Made(path, file, configuration, loop.time())

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

    def _drop_made(self) -> None:
        made, self._made = self._made, None
        if made is not None and not made.user_count:
            self.discard(made.path)

    def discard(self, path: Path) -> None:
        """Remove a copy that may be large; a member that ends leaves that to its next start."""
        if not self._is_ending:
            self.spawn(self._world.remove_file(path))

    def drop_idle(self) -> None:
        """Remove a copy that nobody has used for a while; called now and then."""
        made = self._made
        if made is None or made.user_count or self._making.locked():
            return
        if asyncio.get_running_loop().time() - made.used_s > IDLE_S:
            self._drop_made()

    def serve_pull(self, stream: Stream, asked: Pull) -> None:
        """A member fetches what it was offered."""
        if self._has_room(stream):
            self._transfer(self._serve_pull(stream, asked))

    async def _serve_pull(self, stream: Stream, asked: Pull) -> None:
        made = self._made
        try:
            if made is None or made.file.index != asked.index:
                text = f"there is no snapshot at {asked.index} any more"
                await stream.send(REFUSAL, Refusal(kind=SnapshotGone.__name__, text=text))
                return
            await self._send(stream, made, asked.offset)
        except (OSError, TimeoutError) as error:
            logger.info("a snapshot transfer was cut: %s", error)
        finally:
            stream.close()

    def serve_join(
        self, stream: Stream, joins: Joins, index: int, first_index: Callable[[], int]
    ) -> None:
        """A newcomer is told who it is, and gets a snapshot that holds entry `index`."""
        if self._has_room(stream):
            self._transfer(self._serve_join(stream, joins, index, first_index))

    def _transfer(self, work: Coroutine[None, None, None]) -> None:
        """Serve a peer; only so many are served at once."""
        task = self.spawn(work)
        self._transfers.add(task)
        task.add_done_callback(self._transfers.discard)

    def _has_room(self, stream: Stream) -> bool:
        """Whether another transfer may begin; if not, whoever asked comes again."""
        if len(self._transfers) < TASKS_MAX:
            return True
        logger.warning("a snapshot was asked for while %d transfers run", len(self._transfers))
        stream.close()
        return False

    async def _serve_join(
        self, stream: Stream, joins: Joins, index: int, first_index: Callable[[], int]
    ) -> None:
        try:
            with self._using(await self.make(index, first_index)) as made:
                await stream.send(INVITATION, joins.invitation)
                await self._send(stream, made, 0)
        except (OSError, TimeoutError, SnapshotFailed) as error:
            logger.info("a newcomer's snapshot was cut: %s", error)
        finally:
            stream.close()

    async def _send(self, stream: Stream, made: Made, offset: int) -> None:
        with self._using(made):
            path, head = made.path, made.head
            await send_file(stream, path, head, offset, bytes_per_s=self._bytes_per_s)

    async def remove(self, directory: Path) -> None:
        """Remove what is not needed any more, without holding the loop up."""
        await self._world.remove_tree(directory)

    # --- fetching -------------------------------------------------------------------------------

    def fetch(
        self,
        snapshot: Snapshot,
        addresses: list[Address],
        on_end: Callable[[Snapshot, Path | None], None],
    ) -> None:
        """Fetch an offered snapshot; `on_end(snapshot, file or None)` is called once.

        A newer offer replaces one that is being fetched, whose `on_end` is not called any more.
        """
        if self._fetch is not None:
            self._fetch.cancel()
        self._fetch = self.spawn(self._fetch_and_tell(snapshot, addresses, on_end))

    async def _fetch_and_tell(
        self,
        snapshot: Snapshot,
        addresses: list[Address],
        on_end: Callable[[Snapshot, Path | None], None],
    ) -> None:
        # A name of its own: to begin a large file again would hold the loop up.
        self._fetch_count += 1
        path = self._home.snapshot_directory / f"incoming-{self._fetch_count}.mdb"
        is_whole = False
        try:
            await Fetch(path, snapshot, addresses, self._dial, self._world).run()
            check_content(path, snapshot)
            is_whole = True
        except (PeerFault, OSError) as error:
            logger.warning("snapshot at %d was not fetched: %s", snapshot.index, error)
        finally:
            if not is_whole:
                self.discard(path)
        on_end(snapshot, path if is_whole else None)


def check_content(path: Path, snapshot: Snapshot) -> None:
    """Refuse a file that is not the store that its offer told of.

    It would be put in place, and contradict what the core was told.

    Raises:
        SnapshotDamaged: it is another one, or none.

    """
    try:
        applied = read_applied_file(path)
        encoded = read_metadata(path, CONFIGURATION_KEY)
        held = msgspec.json.decode(encoded or b"", type=Configuration)
    except (StoreError, *UNDECODABLE) as error:
        raise SnapshotDamaged(f"what was sent is no store: {error}") from error
    if applied != (snapshot.index, snapshot.term) or held != snapshot.configuration:
        text = f"{snapshot.term}:{snapshot.index} was offered"
        raise SnapshotDamaged(f"{text}, the file holds {applied[1]}:{applied[0]}, {held}")


class Fetch:
    """One snapshot on its way to a file."""

    def __init__(
        self,
        path: Path,
        snapshot: Snapshot,
        addresses: list[Address],
        dial: Callable[[int, Address], Awaitable[Stream]],
        world: World,
    ) -> None:
        """Nothing is fetched yet."""
        self._path = path
        self._snapshot = snapshot
        self._addresses = addresses
        self._dial = dial
        self._world = world

    async def run(self) -> None:
        """Fetch, check and sync the file.

        Raises:
            PeerFault: the sender has it no more, or sent something else.
            OSError, TimeoutError: the sender cannot be reached, or the disk failed.

        """
        with Incoming(self._path) as incoming:
            head = await self._fetch_all(incoming)
            await incoming.finish(head, self._world.sync_file)

    async def _fetch_all(self, incoming: Incoming) -> Head:
        """Try again, from where we are, until the file is whole or nothing comes any more."""
        attempts = 0
        while True:
            before = incoming.offset
            try:
                address = self._addresses[attempts % len(self._addresses)]
                return await self._attempt(address, incoming)
            except (ConnectionError, TimeoutError):
                attempts = 0 if incoming.offset > before else attempts + 1
                if attempts >= ATTEMPTS_MAX:
                    raise
                await asyncio.sleep(_RETRY_S)

    async def _attempt(self, address: Address, incoming: Incoming) -> Head:
        snapshot = self._snapshot
        stream = await self._dial(snapshot.sender, address)
        try:
            head = await pull(stream, snapshot.index, incoming.offset)
            if (head.index, head.term) != (snapshot.index, snapshot.term):
                raise SnapshotDamaged(f"{head.term}:{head.index} was sent")
            await incoming.take(stream, head)
        finally:
            stream.close()
        return head
