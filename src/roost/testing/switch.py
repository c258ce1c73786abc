"""Links between members on one machine that can be cut: each member is reached through a door.

A door listens where a member says that it is, reads the greeting's first frame to learn who comes
(`peer.frame.Hello`), and passes bytes on both ways.  While two members are cut from each other
nothing passes between them, in either direction and on no connection, and none is closed: that is
how a broken network looks.  What had been sent arrives when the cut is healed, in order, as TCP
would have sent it again.

Members that talk TLS to each other cannot be told apart here, and cannot be cut.

Full?  A connection holds one chunk, CHUNK_BYTES, a direction; behind it the sender's and the
receiver's own windows fill, as they do on a network.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from roost.errors import PeerFault
from roost.faces import LoopThread
from roost.peer.frame import HANDSHAKE_BYTES_MAX, HELLO, Hello, decode
from roost.peer.framing import HEAD
from roost.tasks import Tasks

CHUNK_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Door:
    """Where a member is said to be, and where it is; ports of 127.0.0.1."""

    said_port: int
    true_port: int


class Switch:
    """The doors of all members of a cluster, on a thread of their own."""

    def __init__(self, doors: Sequence[Door], positions: Mapping[int, int]) -> None:
        """Open the doors; `positions` has each member's place among them by its id.

        Raises:
            OSError: a port cannot be listened on.

        """
        self._inside = _Inside(doors, positions)
        self._loop = LoopThread("roost-switch")
        try:
            self._loop.call(self._inside.open())
        except BaseException:
            self._loop.close()
            raise

    def cut(self, a: int, b: int) -> None:
        """From when this returns nothing passes between two members."""
        self._loop.call(self._inside.cut(a, b))

    def heal(self) -> None:
        """Everything passes."""
        self._loop.call(self._inside.heal())

    def close(self) -> None:
        """Close every door and every connection; more than once does nothing."""
        if not self._inside.is_closed:
            self._loop.call(self._inside.close())
            self._loop.close()


class _Inside:
    """What runs on the switch's loop."""

    def __init__(self, doors: Sequence[Door], positions: Mapping[int, int]) -> None:
        self._doors = doors
        self._positions = positions
        self._cut: set[frozenset[int]] = set()
        self._servers: list[asyncio.Server] = []
        # Of connections that came: a task that is cancelled before it began closes nothing.
        self._entered: set[asyncio.StreamWriter] = set()
        self._tasks = Tasks()
        self._is_healed = asyncio.Event()
        self.is_closed = False

    async def open(self) -> None:
        try:
            for position, door in enumerate(self._doors):
                self._servers.append(await self._listen(position, door))
        except OSError:
            await self.close()
            raise

    async def _listen(self, position: int, door: Door) -> asyncio.Server:
        def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if self.is_closed:  # it was let in before
                writer.transport.abort()
                return
            self._entered.add(writer)
            task = self._tasks.start(self._enter(position, reader, writer))
            task.add_done_callback(lambda _: self._leave(writer))

        return await asyncio.start_server(enter, "127.0.0.1", door.said_port)

    async def close(self) -> None:
        self.is_closed = True
        for server in self._servers:
            server.close()
        await self._tasks.close()
        while self._entered:
            await asyncio.sleep(0)

    def _leave(self, writer: asyncio.StreamWriter) -> None:
        if not writer.is_closing():
            writer.transport.abort()
        self._entered.discard(writer)

    async def cut(self, a: int, b: int) -> None:
        self._cut.add(frozenset((a, b)))
        self._is_healed.clear()

    async def heal(self) -> None:
        self._cut.clear()
        self._is_healed.set()

    async def _enter(
        self, target: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Somebody dials the member at `target`."""
        try:
            first = await _first_frame(reader)
            pair = frozenset((self._who(first), target))
            await self._until_open(pair)
            inner, outer = await asyncio.open_connection("127.0.0.1", self._doors[target].true_port)
        except (OSError, asyncio.IncompleteReadError, PeerFault):
            writer.close()  # nobody is there, or nobody came
            return
        except BaseException:
            writer.close()
            raise
        try:
            outer.write(first)
            async with asyncio.TaskGroup() as group:
                ways = [
                    group.create_task(self._pass_on(pair, reader, outer)),
                    group.create_task(self._pass_on(pair, inner, writer)),
                ]
                # Members never close one direction only.
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in ways:
                    way.cancel()
        except BaseException:
            # What is cancelled waits for nobody to take what is left.
            writer.transport.abort()
            outer.transport.abort()
            raise
        writer.close()
        outer.close()

    def _who(self, first: bytes) -> int:
        """The position of whoever says this first; -1 for a newcomer and for who calls back."""
        _, kind, *_ = HEAD.unpack_from(first)
        if kind != HELLO:
            return -1
        return self._positions.get(decode(first[HEAD.size :], Hello).member_id, -1)

    async def _pass_on(
        self, pair: frozenset[int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):  # an end of a connection, as any
            while data := await reader.read(CHUNK_BYTES):
                await self._until_open(pair)
                if writer.is_closing():
                    return  # it went while the link was cut; uvloop does not call that an OSError
                writer.write(data)
                await writer.drain()
            await self._until_open(pair)  # not even the end of a connection passes

    async def _until_open(self, pair: frozenset[int]) -> None:
        while pair in self._cut:
            await self._is_healed.wait()


async def _first_frame(reader: asyncio.StreamReader) -> bytes:
    """The first frame somebody sends; all that there is when it is none."""
    head = await reader.readexactly(HEAD.size)
    _, _, _, length, *_ = HEAD.unpack(head)
    if length > HANDSHAKE_BYTES_MAX:
        return head  # the member says what is wrong with it
    return head + await reader.readexactly(length)
