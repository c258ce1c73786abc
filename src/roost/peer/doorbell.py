"""What answers a newcomer's peer port until its member runs: it is called back there.

Whoever joins has no member yet that could say "it is me who asks"; this says it, and nothing else.
"""

import asyncio
import socket
from collections.abc import Sequence
from typing import Self

from roost.descriptors import free_for_members
from roost.door import Door
from roost.errors import PeerFault
from roost.peer import frame
from roost.peer.errors import HandshakeRefused
from roost.peer.frame import HANDSHAKE_BYTES_MAX, Refusal
from roost.peer.greeting import NEWCOMER, Address, confirm
from roost.peer.sockets import PeerTls, listen_at
from roost.peer.stream import Stream
from roost.tasks import Tasks

_CALLERS_MAX = 16
_CALL_S_MAX = 5.0


class Doorbell:
    """Answers calls back about the greetings in `nonces`; a context manager.

    Full?  One caller more than _CALLERS_MAX takes the place of the oldest.
    """

    def __init__(self, listen: Sequence[Address], tls: PeerTls | None = None) -> None:
        """Nothing is open yet."""
        self.nonces: set[bytes] = set()
        self._listen = list(listen)
        self._tls = tls
        self._doors: list[Door] = []
        self._tasks = Tasks()
        # In the order in which they came.
        self._callers: dict[asyncio.Task[None], None] = {}

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            OSError: an address cannot be bound.

        """
        self._loop = asyncio.get_running_loop()
        try:
            for address in self._listen:
                server = await listen_at(self._loop, address)
                self._doors.append(Door(server, on_come=self._on_come, free=free_for_members))
        except OSError:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close everything."""
        for door in self._doors:
            door.close()
        await self._tasks.close()

    def _on_come(self, sock: socket.socket, _address: object) -> None:
        secured = sock if self._tls is None else self._tls.accepted(sock)
        self.accept(Stream(secured, HANDSHAKE_BYTES_MAX), "")

    def accept(self, stream: Stream, _host: str) -> None:
        """Somebody has dialled."""
        if len(self._callers) >= _CALLERS_MAX:
            next(iter(self._callers)).cancel()
        task = self._tasks.start(self._answer(stream))
        self._callers[task] = None
        task.add_done_callback(lambda done: self._callers.pop(done, None))

    async def _answer(self, stream: Stream) -> None:
        try:
            async with asyncio.timeout(_CALL_S_MAX):
                kind, body = await stream.next_frame()
                try:
                    if kind != frame.CONFIRM:
                        raise HandshakeRefused("this member has not started yet")
                    told = confirm(body, NEWCOMER, self.nonces.__contains__)
                except HandshakeRefused as refusal:
                    said = Refusal(kind=type(refusal).__name__, text=str(refusal))
                    await stream.send(frame.REFUSAL, said)
                else:
                    await stream.send(told.kind, told.body)
        except (OSError, PeerFault):
            pass  # whoever it was
        finally:
            stream.close()
