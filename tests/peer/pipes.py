"""One end of a connection in virtual time, with a test at the other."""

from collections.abc import Sequence
from selectors import EVENT_READ, EVENT_WRITE

from roost.sim.members.loop import virtual_loop


class Pipe:
    """Our end of a connection: what comes is put in, what leaves needs room."""

    def __init__(self, room: int = 1 << 20) -> None:
        self._loop = virtual_loop()
        self._descriptor = self._loop.attach(self)
        self._came: list[bytes] = []
        self.left = b""
        self.room = room
        self.is_closed = False

    def events(self) -> int:
        return (EVENT_READ if self._came else 0) | (EVENT_WRITE if self.room else 0)

    def put(self, *parts: bytes) -> None:
        """Let these come one by one; b"" is the end."""
        self._came += parts
        self._loop.note(self._descriptor)

    def widen(self, count: int) -> None:
        self.room += count
        self._loop.note(self._descriptor)

    def send(self, data: bytes, /) -> int:
        sent = data[: self.room]
        if not sent:
            raise BlockingIOError
        self.left += sent
        self.room -= len(sent)
        return len(sent)

    def sendmsg(self, buffers: Sequence[bytes | memoryview], /) -> int:
        return self.send(b"".join(buffers))

    def recv(self, count: int, /) -> bytes:
        if not self._came:
            raise BlockingIOError
        part = self._came.pop(0)
        assert len(part) <= count
        return part

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        self.is_closed = True

    @property
    def is_waited_for(self) -> bool:
        return self._descriptor in self._loop._selector.get_map()  # type: ignore[attr-defined]  # asyncio's own
