"""One outgoing connection: dialled again and again while its peer is known.

`send` writes to the socket at once when nothing is queued, so that the bytes are on their way
before the caller goes on to its disk.  What the socket does not take is queued.

Where nothing comes through, a dial hears nothing: not that nobody is there, and not that the way is
open again, for its first packet is lost, and sent again a second later, two, four.  So a dial that
hears nothing ends soon, and another is begun, but for each PATIENT_TRY-th; and one that hears
nothing while its peer has come through to us is begun anew at once.

Full?  A link's queue is bounded by count and bytes; past it a message is dropped and `send` says
False.  The core probes again; nothing waits for a slow peer.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from roost.peer.config import Dice, PeerConfig
from roost.peer.errors import HandshakeRefused, MalformedFrame, RefusedThere
from roost.peer.local import Address
from roost.peer.network import Connection
from roost.peer.stream import Stream
from roost.peer.troubles import Troubles

logger = logging.getLogger(__name__)
_IOV_MAX: Final = 1000
PATIENT_TRY: Final = 16
# As long as a way may be that is open: after that a dial waits for a packet that was lost.
_ANSWER_S_MAX: Final = 0.2


class LinkOwner(Protocol):
    """What a link needs of whoever has it; it is told what becomes of the link."""

    loop: asyncio.AbstractEventLoop
    config: PeerConfig
    dice: Dice
    troubles: Troubles

    async def greet(
        self, member_id: int, channel: int, address: Address, on_reached: Callable[[], None]
    ) -> Stream:
        """Dial a member, call `on_reached` when it is connected, and greet it."""

    def on_connected(self, member_id: int) -> None:
        """The link is open."""

    def on_unreachable(self, member_id: int) -> None:
        """It broke."""

    def on_refused(self, member_id: int, said: RefusedThere) -> None:
        """The member will not talk to us."""


class Link:
    """One outgoing connection: dialled again and again while its peer is known."""

    def __init__(self, transport: LinkOwner, member_id: int, channel: int) -> None:
        """Closed; `run` dials."""
        self._transport = transport
        self.member_id = member_id
        self.channel = channel
        self.addresses: list[Address] = []
        self._socket: Connection | None = None
        self._queue: deque[bytes | memoryview] = deque()
        self._queue_bytes = 0
        self._closed: asyncio.Future[None] | None = None
        self._wake = asyncio.Event()
        self._failures = 0
        # What limits a dial that has not been answered, and since when it goes on.
        self._reaching: asyncio.Timeout | None = None
        self._dialled_at_s = 0.0

    @property
    def is_open(self) -> bool:
        """Whether messages can leave."""
        return self._socket is not None

    def send(self, buffers: list[bytes]) -> bool:
        """Send one frame's buffers, or queue them; False when they were dropped."""
        sock = self._socket
        if sock is None:
            return False
        if self._queue:
            return self._enqueue(buffers)
        if len(buffers) > _IOV_MAX:
            buffers = [b"".join(buffers)]
        try:
            sent = sock.send(buffers[0]) if len(buffers) == 1 else sock.sendmsg(buffers)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return False
        for position, buffer in enumerate(buffers):
            if sent < len(buffer):
                return self._queue_rest(sock, buffer, sent, buffers[position + 1 :])
            sent -= len(buffer)
        return True

    def _queue_rest(self, sock: Connection, buffer: bytes, sent: int, others: list[bytes]) -> bool:
        """Queue what the socket has not taken of a frame: from there in `buffer`, and all others.

        Without memory for it the frame would stay torn, so the connection goes.
        """
        try:
            rest: list[bytes | memoryview] = [memoryview(buffer)[sent:], *others]
            self._queue.extend(rest)
        except MemoryError:
            logger.warning("link to %x closed: there is no memory for what waits", self.member_id)
            self.close()
            return False
        self._queue_bytes += sum(map(len, rest))
        try:
            self._transport.loop.add_writer(sock, self._on_writable)
        except OSError:  # its descriptor was closed beneath us
            self.close()
            return False
        return True

    def _enqueue(self, buffers: list[bytes]) -> bool:
        config = self._transport.config
        size = sum(map(len, buffers))
        if len(self._queue) >= config.queue_count_max or (
            self._queue_bytes + size > config.queue_bytes_max
        ):
            return False
        self._queue.extend(buffers)
        self._queue_bytes += size
        return True

    @property
    def queued_bytes(self) -> int:
        """What waits for the socket."""
        return self._queue_bytes

    def _on_writable(self) -> None:
        sock, queue = self._socket, self._queue
        assert sock is not None, "a closed link has no writer"
        try:
            sent = sock.sendmsg([queue[i] for i in range(min(len(queue), _IOV_MAX))])
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self._queue_bytes -= sent
        while queue and sent >= len(queue[0]):
            sent -= len(queue.popleft())
        if sent:
            # A view: a large frame leaves in dozens of pieces, and each would copy the rest.
            try:
                queue[0] = memoryview(queue[0])[sent:]
            except MemoryError:
                logger.warning("link to %x closed: there is no memory", self.member_id)
                self.close()
                return
        if not queue:
            self._transport.loop.remove_writer(sock)

    def wake(self) -> None:
        """The peer has dialled us, so it is there: dial it at once."""
        self._failures = 0
        self._wake.set()
        now_s = self._transport.loop.time()
        if self._reaching is not None and now_s - self._dialled_at_s > _ANSWER_S_MAX:
            self._reaching.reschedule(now_s)
            self._reaching = None

    async def run(self) -> None:
        """Dial, stay connected, and dial again, until cancelled."""
        transport = self._transport
        while True:
            for address in self.addresses:
                try:
                    await self._connect(address)
                except RefusedThere as said:
                    transport.on_refused(self.member_id, said)
                except (OSError, MalformedFrame, HandshakeRefused) as error:
                    transport.troubles.note(self.member_id, address, error)
                except Exception:
                    # A bug of ours, or of somebody's network: without a link that dials again, it
                    # would keep the member from us for ever.
                    logger.exception("dialling member %x failed", self.member_id)
                else:
                    self._failures = 0
                    assert self._closed is not None, "a connected link can be closed"
                    await self._closed
                    transport.on_unreachable(self.member_id)
            await self._back_off()

    async def _back_off(self) -> None:
        config = self._transport.config
        ceiling = min(config.backoff_ms_max, config.backoff_ms_min << min(self._failures, 10))
        self._failures += 1
        # Randomised over the upper half, so that members do not come back in step.
        delay_ms = ceiling // 2 + self._transport.dice.below(ceiling // 2 + 1)
        self._wake.clear()
        try:
            # Not `wait_for`, which forgets in Python 3.11 that it was cancelled when the peer wakes
            # us in the same turn: the member could not stop.
            async with asyncio.timeout(delay_ms / 1000):
                await self._wake.wait()
        except TimeoutError:
            pass  # nobody woke us: it is time

    async def _connect(self, address: Address) -> None:
        transport = self._transport
        config = transport.config
        is_patient = self._failures % PATIENT_TRY == PATIENT_TRY - 1
        whole_s = config.handshake_ms_max / 1000
        reach_s = whole_s if is_patient else min(whole_s, config.reach_ms_max / 1000)
        began_s = self._dialled_at_s = transport.loop.time()

        def on_reached() -> None:
            if self._reaching is limit:
                limit.reschedule(began_s + whole_s)
                self._reaching = None

        try:
            async with asyncio.timeout(reach_s) as limit:
                self._reaching = limit
                stream = await transport.greet(self.member_id, self.channel, address, on_reached)
        finally:
            self._reaching = None
        self._socket = stream.connection
        transport.loop.add_reader(self._socket, self._on_readable)
        self._closed = transport.loop.create_future()
        transport.on_connected(self.member_id)

    def _on_readable(self) -> None:
        """The acceptor never sends: whatever comes is the end, or nonsense."""
        assert self._socket is not None, "a closed link has no reader"
        try:
            self._socket.recv(4096)
        except BlockingIOError:
            return
        except OSError as error:
            logger.debug("link to %x: %s", self.member_id, error)
        self.close()

    def close(self) -> None:
        """Close the connection; what was queued is lost."""
        sock, self._socket = self._socket, None
        if sock is None:
            return
        self._transport.loop.remove_reader(sock)
        self._transport.loop.remove_writer(sock)
        sock.close()
        self._queue.clear()
        self._queue_bytes = 0
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)
