"""Frames on a connection, both ways, by coroutines: greetings and snapshots."""

import asyncio

import msgspec

from roost.peer import frame, framing
from roost.peer.errors import REFUSALS, HandshakeRefused
from roost.peer.frame import Refusal
from roost.peer.framing import FrameReader
from roost.peer.network import Connection
from roost.peer.waiting import receive, send_all

_READ_BYTES = 512 << 10
_SILENCE_S_MAX = 10.0


class Stream:
    """Frames of at most `body_bytes_max` on a connection."""

    # Who is at the other end, once a greeting has proven it; 0 = nobody we know.
    peer_id = 0

    def __init__(self, connection: Connection, body_bytes_max: int) -> None:
        """Take it over."""
        self.connection = connection
        self._loop = asyncio.get_running_loop()
        self.reader = FrameReader(body_bytes_max)
        self._frames: list[tuple[int, bytes]] = []

    async def send(self, kind: int, body: msgspec.Struct) -> None:
        """Send one small frame."""
        await send_all(self._loop, self.connection, frame.encode_struct(kind, body))

    async def send_buffers(self, kind: int, buffers: list[bytes]) -> None:
        """Send one frame whose body is `buffers`."""
        for buffer in framing.encode(kind, buffers):
            await send_all(self._loop, self.connection, buffer)

    async def next_frame(self) -> tuple[int, bytes]:
        """The next frame, within _SILENCE_S_MAX.

        Raises:
            ConnectionResetError: the other side closed.
            MalformedFrame, TimeoutError: nonsense, or nothing.
            ssl.SSLError: it is no TLS, or its certificate is not good.

        """
        while not self._frames:
            async with asyncio.timeout(_SILENCE_S_MAX):
                data = await receive(self._loop, self.connection, _READ_BYTES)
            if not data:
                self.reader.end()
                raise ConnectionResetError("the other side closed the connection")
            self._frames = self.reader.feed(data)
        return self._frames.pop(0)

    async def receive(self) -> tuple[int, bytes]:
        """The next frame, as `next_frame`, when it is no refusal.

        Raises:
            HandshakeRefused: the other side said no, and why.

        """
        kind, body = await self.next_frame()
        if kind == frame.REFUSAL:
            raise refusal_error(frame.decode(body, Refusal))
        return kind, body

    def take_frames(self) -> list[tuple[int, bytes]]:
        """Hand over what came and was not asked for yet."""
        frames, self._frames = self._frames, []
        return frames

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


class SnapshotGone(HandshakeRefused):
    """The sender has no snapshot at that index any more."""


def refusal_error(refusal: Refusal) -> HandshakeRefused:
    """What a refusal says, as the error it names."""
    kinds: dict[str, type[HandshakeRefused]] = {**REFUSALS, SnapshotGone.__name__: SnapshotGone}
    return kinds.get(refusal.kind, HandshakeRefused)(refusal.text)
