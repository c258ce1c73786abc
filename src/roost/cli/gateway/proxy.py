"""Handing connections on: bytes both ways, as they come, with the end of each.

Full?  There are `connections_max` connections; who comes then is hung up on, and the log says so
once until there is room again. Of each, BUFFER_BYTES wait each way for whoever reads; then the
other side is not read from.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from typing import cast

from roost.cli.gateway.targets import Target, Targets
from roost.os_errors import words_of
from roost.tasks import Tasks

logger = logging.getLogger(__name__)
BUFFER_BYTES = 64 << 10
DIAL_S = 5.0


class _Side(asyncio.Protocol):
    """One of the two connections; `other` is the other."""

    def __init__(self, on_lost: Callable[[], None]) -> None:
        self._on_lost = on_lost
        self.transport: asyncio.Transport | None = None
        self.other: _Side | None = None
        self._has_ended = False
        # What came before there was another side: a read at most, and then it is paused.
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = made = cast("asyncio.Transport", transport)
        made.set_write_buffer_limits(BUFFER_BYTES)
        # Not here and now: CPython 3.11.2 begins to read behind this, paused or not.
        asyncio.get_running_loop().call_soon(self._wait)
        sock = made.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def _wait(self) -> None:
        """Read nothing until there is another side."""
        if self.transport is not None and self.other is None and self.transport.is_reading():
            self.transport.pause_reading()

    def join(self, other: "_Side") -> None:
        """Hand on what has come, and what comes from now on."""
        self.other = other
        early, self._early = self._early, b""
        to = self._other_transport()
        if to is not None and early:
            to.write(early)
        if to is not None and self._has_ended:
            to.write_eof()
        if self.transport is not None and not self.transport.is_reading():
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early += data
            self._wait()
            return
        other = self._other_transport()
        if other is not None:
            other.write(data)

    def eof_received(self) -> bool:
        """Hand the end on; what the other side has to say still comes."""
        self._has_ended = True
        if self.other is None:
            return True
        other = self._other_transport()
        if other is None or self.other is None or self.other.has_ended:
            return False
        other.write_eof()
        return True

    @property
    def has_ended(self) -> bool:
        """Whether its end has come."""
        return self._has_ended

    def pause_writing(self) -> None:
        other = self._other_transport()
        if other is not None and other.is_reading():
            other.pause_reading()

    def resume_writing(self) -> None:
        other = self._other_transport()
        if other is not None and not other.is_reading():
            other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        other = self._other_transport()
        self.transport = None
        if other is not None:
            if exc is None:
                other.close()  # what it has not read yet still leaves
            else:
                other.abort()
        self._on_lost()

    def _other_transport(self) -> asyncio.Transport | None:
        found = None if self.other is None else self.other.transport
        return None if found is None or found.is_closing() else found

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class Proxy:
    """Listens, and hands on."""

    def __init__(self, targets: Targets, *, connections_max: int) -> None:
        """Nobody has come."""
        self.targets = targets
        self._connections_max = connections_max
        self._clients: set[_Side] = set()
        self._servers: list[asyncio.Server] = []
        self._tasks = Tasks()
        self._is_full = False
        self.refused_count = 0

    @property
    def connection_count(self) -> int:
        """How many clients there are."""
        return len(self._clients)

    async def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Take connections that come there."""
        loop = asyncio.get_running_loop()
        for sock in sockets:
            self._servers.append(await loop.create_server(self._make_client, sock=sock))

    def _make_client(self) -> asyncio.Protocol:
        side: _Side = _Client(self._on_client, lambda: self._clients.discard(side))
        return side

    def _on_client(self, side: _Side) -> None:
        if len(self._clients) >= self._connections_max:
            self.refused_count += 1
            if not self._is_full:
                logger.warning("%d connections are all there may be", self._connections_max)
            self._is_full = True
            side.abort()
            return
        self._is_full = False
        self._clients.add(side)
        self._tasks.start(self._hand_on(side))

    async def _hand_on(self, side: _Side) -> None:
        """Connect to whoever answers; hang up when nobody does."""
        for target in self.targets.in_turn():
            member = await self.dial(target)
            if side.transport is None or side.transport.is_closing():
                if member is not None:
                    member.abort()
                return
            if member is not None:
                logger.debug("a connection goes to %s", target)
                member.join(side)
                side.join(member)
                return
        logger.warning("nobody of %s answers: a client is hung up on", _names(self.targets.known))
        side.abort()

    async def dial(self, target: Target) -> _Side | None:
        """A connection to a member; None when there is none, and it rests from now on."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(DIAL_S):
                _, member = await loop.create_connection(
                    lambda: _Side(lambda: None), target.host, target.port
                )
        except (OSError, TimeoutError) as error:
            if not self.targets.rests(target):
                words = words_of(error) if isinstance(error, OSError) else ""
                logger.warning("%s does not answer: %s", target, words or "no answer in time")
            self.targets.failed(target)
            return None
        if self.targets.worked(target):
            logger.info("%s answers again", target)
        return member

    async def look(self) -> None:
        """Try those that have rested."""
        for target in self.targets.due:
            member = await self.dial(target)
            if member is not None:
                member.abort()

    async def close(self) -> None:
        """Listen no more, and hang up on everybody."""
        for server in self._servers:
            server.close()
        await self._tasks.close()
        for side in list(self._clients):
            side.abort()
        for server in self._servers:
            await server.wait_closed()


class _Client(_Side):
    """The side of a client."""

    def __init__(self, on_made: Callable[[_Side], None], on_lost: Callable[[], None]) -> None:
        super().__init__(on_lost)
        self._on_made = on_made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._on_made(self)


def _names(targets: Sequence[Target]) -> str:
    return ", ".join(map(str, targets))
