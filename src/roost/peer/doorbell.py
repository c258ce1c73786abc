"""What answers a newcomer's peer port until its member runs: it is called back there.

Whoever joins has no member yet that could say "it is me who asks"; this says it, and nothing else.
"""

import asyncio
from collections.abc import Sequence
from typing import Self

from roost.errors import PeerFault
from roost.peer import frame
from roost.peer.errors import HandshakeRefused
from roost.peer.frame import HANDSHAKE_BYTES_MAX, Refusal
from roost.peer.greeting import confirm
from roost.peer.local import NEWCOMER, Address
from roost.peer.network import Connection, Listener, Network
from roost.peer.stream import Stream
from roost.tasks import Tasks

_CALLERS_MAX = 16
_CALL_S_MAX = 5.0


class Doorbell:
    """Answers calls back about the greetings in `nonces`; a context manager.

    Full?  One caller more than _CALLERS_MAX takes the place of the oldest.
    """

    def __init__(self, listen: Sequence[Address], network: Network) -> None:
        """Nothing is open yet."""
        self.nonces: set[bytes] = set()
        self._listen = list(listen)
        self._network = network
        self._listeners: list[Listener] = []
        self._tasks = Tasks()
        # In the order in which they came.
        self._callers: dict[asyncio.Task[None], None] = {}

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            OSError: an address cannot be bound.

        """
        try:
            for address in self._listen:
                self._listeners.append(await self._network.listen(address, self._on_come))
        except OSError:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close everything."""
        for listener in self._listeners:
            listener.close()
        await self._tasks.close()

    def _on_come(self, connection: Connection, _host: str) -> None:
        """Somebody has dialled."""
        if len(self._callers) >= _CALLERS_MAX:
            next(iter(self._callers)).cancel()
        task = self._tasks.start(self._answer(Stream(connection, HANDSHAKE_BYTES_MAX)))
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
