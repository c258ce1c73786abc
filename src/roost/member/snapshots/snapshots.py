"""Snapshots of one member: sent to peers that need one, fetched when we need one (D6).

A copy is made by `copies`, and sent on a connection of its own.  A fetch (`fetch`) writes to a
file; when it is given up, the leader is told so.

Full?  More than TASKS_MAX transfers at once are not begun: the connection is closed.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

from roost.errors import PeerFault
from roost.member.config import Address
from roost.member.directory.home import Home
from roost.member.errors import SnapshotFailed
from roost.member.events import SnapshotReceived, SnapshotSent, Tell, untold
from roost.member.machine.world import World
from roost.member.snapshots.copies import Copies, Copy
from roost.member.snapshots.fetch import Dial, Fetch, check_content
from roost.peer import INVITATION, REFUSAL, Joins, Pull, Refusal, SnapshotGone, Stream, send_file
from roost.raft import Snapshot
from roost.tasks import Tasks

logger = logging.getLogger(__name__)
TASKS_MAX = 16
# Why somebody gets a snapshot.
BEHIND, JOINING = "behind", "joining"


@dataclass(eq=False, slots=True)
class Sending:
    """A copy on its way to a member, for whoever looks how far it is.

    Bytes are those that it lacked when this began, at `began_s` of the loop's clock.
    """

    member_id: int
    reason: str
    total_bytes: int
    began_s: float
    sent_bytes: int = 0

    @property
    def is_joining(self) -> bool:
        """Whether it is a newcomer, and none that was left behind."""
        return self.reason == JOINING

    @property
    def seconds(self) -> float:
        """How long it has been under way."""
        return asyncio.get_running_loop().time() - self.began_s

    def hear(self, byte_count: int) -> None:
        """So many more were sent."""
        self.sent_bytes += byte_count


class Snapshots:
    """Sends copies and fetches one; everything it starts ends with `close`."""

    def __init__(
        self,
        home: Home,
        *,
        world: World,
        bytes_per_s: int,
        dial: Dial,
    ) -> None:
        """Nothing runs; `dial(member_id, address)` gives a stream for snapshots."""
        self._home = home
        self._dial = dial
        self._world = world
        self._bytes_per_s = bytes_per_s
        self.copies = Copies(home, world=world, discard=self.discard)
        self._tasks = Tasks()
        self._transfers: set[asyncio.Task[None]] = set()
        self._fetch: asyncio.Task[None] | None = None
        self._fetch_count = 0
        # Those that are under way, in the order in which they began.
        self.sendings: list[Sending] = []
        self._is_ending = False
        self.tell: Tell = untold

    @property
    def task_count(self) -> int:
        """Transfers and copies under way; zero when idle."""
        return len(self._tasks)

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run something that `close` ends; its errors reach the loop's handler."""
        return self._tasks.start(work)

    def abandon(self) -> None:
        """End every transfer as a crash would: nobody waits for the end."""
        self._is_ending = True
        self._tasks.cancel()

    async def close(self) -> None:
        """End every transfer."""
        self._is_ending = True
        await self._tasks.close()

    def discard(self, path: Path) -> None:
        """Remove a copy that may be large; a member that ends leaves that to its next start."""
        if not self._is_ending:
            self.spawn(self._world.remove_file(path))

    def serve_pull(self, stream: Stream, asked: Pull) -> None:
        """A member fetches what it was offered."""
        if self._has_room(stream):
            self._transfer(self._serve_pull(stream, asked))

    async def _serve_pull(self, stream: Stream, asked: Pull) -> None:
        copy = self.copies.newest
        try:
            if copy is None or copy.file.index != asked.index:
                text = f"there is no snapshot at {asked.index} any more"
                await stream.send(REFUSAL, Refusal(kind=SnapshotGone.__name__, text=text))
                return
            await self._send(stream, copy, asked.offset, stream.peer_id, BEHIND)
            sent_bytes = copy.file.size_bytes - asked.offset
            self.tell(SnapshotSent(stream.peer_id, BEHIND, sent_bytes))
        except (OSError, TimeoutError) as error:
            logger.info("a snapshot transfer was cut: %s", error)
        finally:
            stream.close()

    def serve_join(self, stream: Stream, joins: Joins, index: int) -> None:
        """A newcomer is told who it is, and gets a snapshot that holds entry `index`."""
        if self._has_room(stream):
            self._transfer(self._serve_join(stream, joins, index))

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

    async def _serve_join(self, stream: Stream, joins: Joins, index: int) -> None:
        try:
            with self.copies.using(await self.copies.make(index)) as copy:
                await stream.send(INVITATION, joins.invitation)
                await self._send(stream, copy, 0, joins.invitation.member_id, JOINING)
            self.tell(SnapshotSent(joins.invitation.member_id, JOINING, copy.file.size_bytes))
        except (OSError, TimeoutError, SnapshotFailed) as error:
            logger.info("a newcomer's snapshot was cut: %s", error)
        finally:
            stream.close()

    async def _send(
        self, stream: Stream, copy: Copy, offset: int, member_id: int, reason: str
    ) -> None:
        left_bytes = max(0, copy.file.size_bytes - offset)
        sending = Sending(member_id, reason, left_bytes, asyncio.get_running_loop().time())
        self.sendings.append(sending)
        try:
            with self.copies.using(copy):
                await send_file(
                    stream,
                    copy.path,
                    copy.head,
                    offset,
                    bytes_per_s=self._bytes_per_s,
                    hear=sending.hear,
                )
        finally:
            self.sendings.remove(sending)

    async def remove(self, directory: Path) -> None:
        """Remove what is not needed any more, without holding the loop up."""
        await self._world.remove_tree(directory)

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
            head = await Fetch(path, snapshot, addresses, self._dial, self._world).run()
            check_content(path, snapshot)
            is_whole = True
            self.tell(SnapshotReceived(snapshot.sender, BEHIND, head.size_bytes))
        except (PeerFault, OSError) as error:
            logger.warning("snapshot at %d was not fetched: %s", snapshot.index, error)
        finally:
            if not is_whole:
                self.discard(path)
        on_end(snapshot, path if is_whole else None)
