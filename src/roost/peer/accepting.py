"""Connections that others have dialled: greeted first, then listened to.

Full?  Connections that have not greeted yet are bounded in all, and by the address they come from;
a new one takes the place of the oldest, first of one that has not said a word.  The addresses of
members that we know are counted by themselves, so whoever fills the rest keeps no member out.
"""

import asyncio
import logging
import ssl
from collections.abc import Iterable
from typing import Final, Protocol

from roost.errors import PeerFault
from roost.peer import frame
from roost.peer.claims import Shown
from roost.peer.config import PeerConfig, TransportStatistics
from roost.peer.errors import HandshakeRefused, MalformedFrame
from roost.peer.frame import Hello, decode
from roost.peer.greeting import Acceptor, Admitted, CallBack, House, Joins
from roost.peer.handshake import admit
from roost.peer.local import BULK, CONTROL, SNAPSHOT
from roost.peer.snapshot import PULL, Pull
from roost.peer.stream import Stream
from roost.peer.troubles import words_of_tls
from roost.tasks import Tasks

logger = logging.getLogger(__name__)
_LIMITS = {
    CONTROL: frame.CONTROL_BYTES_MAX,
    BULK: frame.BULK_BYTES_MAX,
    SNAPSHOT: frame.HANDSHAKE_BYTES_MAX,
}
_READ_BYTES: Final = 64 << 10


class Reception(Protocol):
    """What an accepted connection needs of whoever has it; it is told what becomes of it."""

    house: House
    loop: asyncio.AbstractEventLoop
    config: PeerConfig
    statistics: TransportStatistics
    tasks: Tasks

    def draw_nonce(self) -> bytes:
        """A number that was never used before."""

    def certificate_of(self, stream: Stream) -> Shown | None:
        """What the other side has shown, when it had to show something."""

    async def call_back(self, step: CallBack, host: str) -> str:
        """Ask a member whether it greets us; why not, or ""."""

    def note_refused(self, host: str, error: Exception) -> None:
        """Somebody was not let in."""

    def on_greeted(self, accepted: "Accepted", admitted: Admitted) -> None:
        """A member has greeted; it is to be listened to."""

    def on_pull(self, stream: Stream, asked: Pull, /) -> None:
        """A member asks for a snapshot, on a stream that is the callee's from now on."""

    def on_join(self, stream: Stream, joins: Joins, /) -> None:
        """So does a newcomer."""

    def on_frame(self, member_id: int, kind: int, body: bytes, /) -> None:
        """Take a frame; a PeerFault closes the connection."""

    def on_batch_end(self) -> None:
        """All frames of one read were handed on."""

    def forget(self, accepted: "Accepted") -> None:
        """Somebody else owns that connection now."""

    def on_accepted_closed(self, accepted: "Accepted") -> None:
        """It ended."""


class Accepted:
    """One accepted connection; nobody until it has greeted."""

    def __init__(self, transport: Reception, stream: Stream, host: str) -> None:
        """Whoever is at `host` must greet in time; `begin` listens to it."""
        self._transport = transport
        self._stream = stream
        self.host = host
        self.hello: Hello | None = None
        self.has_spoken = False
        self._is_over = False
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Wait for its greeting."""
        self._task = self._transport.tasks.start(self._greet())

    async def _greet(self) -> None:
        transport, stream = self._transport, self._stream
        acceptor = Acceptor(
            transport.house,
            nonce=transport.draw_nonce(),
            shown=lambda: transport.certificate_of(stream),
        )
        pull: Pull | None = None
        is_begun = False
        try:
            async with asyncio.timeout(transport.config.handshake_ms_max / 1000):
                step = await admit(stream, acceptor, self._call_back)
                if isinstance(step, Admitted) and step.hello.channel == SNAPSHOT:
                    kind, body = await stream.next_frame()
                    if kind != PULL:
                        raise MalformedFrame(f"frame kind {kind} instead of a pull")
                    pull = decode(body, Pull)
            is_begun = self._begin(step, pull)
        except HandshakeRefused as refusal:
            transport.statistics.refused_count += 1
            transport.note_refused(self.host, refusal)
        except PeerFault as error:
            transport.statistics.malformed_count += 1
            transport.note_refused(self.host, error)
        except ssl.SSLError as error:
            transport.note_refused(self.host, PeerFault(words_of_tls(error)))
        except OSError as error:
            logger.debug("who dialled from %s is gone: %r", self.host, error)
        finally:
            if not is_begun:
                self.close()

    async def _call_back(self, step: CallBack) -> str:
        self.has_spoken = True
        return await self._transport.call_back(step, self.host)

    def _begin(self, step: Admitted | Joins | None, pull: Pull | None) -> bool:
        """Go on after the greeting; False when that was all."""
        transport = self._transport
        if self._is_over:
            return False
        if isinstance(step, Joins):
            transport.forget(self)
            transport.on_join(self._stream, step)
            return True
        if step is None:
            return False
        if pull is not None:
            transport.forget(self)
            self._stream.peer_id = step.hello.member_id
            transport.on_pull(self._stream, pull)
            return True
        self.hello = step.hello
        self._stream.reader.body_bytes_max = _LIMITS[step.hello.channel]
        transport.on_greeted(self, step)
        return True

    def listen(self) -> None:
        """Hand on every frame from now on."""
        self._transport.loop.add_reader(self._stream.connection, self._on_readable)
        frames = self._stream.take_frames()
        if frames:
            self._hand_on(frames)

    def _on_readable(self) -> None:
        transport, stream = self._transport, self._stream
        try:
            data = stream.connection.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        except MemoryError:
            self._starve()
            return
        if not data:
            self.close()
            return
        transport.statistics.received_bytes += len(data)
        try:
            frames = stream.reader.feed(data)
        except MalformedFrame as error:
            self._end(error)
        except MemoryError:
            self._starve()
        else:
            self._hand_on(frames)

    def _hand_on(self, frames: list[tuple[int, bytes]]) -> None:
        transport, hello = self._transport, self.hello
        assert hello is not None, "who has not greeted is not listened to"
        try:
            for kind, body in frames:
                transport.statistics.received_count += 1
                transport.on_frame(hello.member_id, kind, body)
        except PeerFault as error:
            self._end(error)
        except MemoryError:
            self._starve()
        transport.on_batch_end()

    def _starve(self) -> None:
        """There is no memory for what has come: it is lost, as what is on its way often is.

        Nothing that a member believes has changed by then: who takes a frame ends the member
        itself where that is not so (`member/links.py`).
        """
        logger.warning("peer link closed: there is no memory for what comes")
        self.close()

    def _end(self, error: Exception) -> None:
        self._transport.statistics.malformed_count += 1
        logger.warning("peer link closed: %s", error)
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._is_over:
            return
        self._is_over = True
        transport = self._transport
        if self.hello is not None:
            transport.loop.remove_reader(self._stream.connection)
        self._stream.close()
        if self._task is not None and self._task is not asyncio.current_task(transport.loop):
            self._task.cancel()
        transport.on_accepted_closed(self)


def make_room(
    waiting: Iterable[Accepted], host: str, known: frozenset[str], config: PeerConfig
) -> Accepted | None:
    """Whose place one more connection from `host` takes; None when there is room.

    `waiting` are those that have not greeted, the oldest first; `known` the addresses of members.
    """
    held = list(waiting)
    from_host = [it for it in held if it.host == host]
    if len(from_host) >= config.half_open_host_max:
        return _first_out(from_host)
    strangers = [it for it in held if it.host not in known]
    if host not in known and len(strangers) >= config.half_open_count_max:
        return _first_out(strangers)
    return None


def _first_out(held: list[Accepted]) -> Accepted:
    """The oldest of those that have said nothing, or else of all."""
    return next((it for it in held if not it.has_spoken), held[0])
