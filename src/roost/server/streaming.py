"""A gRPC call with any number of messages both ways.

Full?  What has come and was not handed on yet is the connection's to hold: it is not read from
before the call has gone on, in a later turn (`StreamCarrier.hold`).
"""

from collections.abc import Sequence
from typing import Final, Protocol

from roost.call import Code, OpenStream, StreamHandler
from roost.server.calls import OVER, PREFIX_BYTES, Call, Carrier, cut
from roost.server.h2 import Stream
from roost.server.methods import Head

# Handed on in one step; and what each costs of the turn's budget (see `intake`).
MESSAGES_A_STEP_MAX: Final = 16
MESSAGE_UNITS: Final = 4


class StreamCarrier(Carrier, Protocol):
    """A connection that lets a call go on later with what has come."""

    def hold(self, call: "StreamingCall") -> None:
        """Read no more before this call has gone on, in a later turn."""


class StreamingCall(Call):
    """Any number of messages both ways."""

    __slots__ = ("_handler", "_hold")

    def __init__(
        self, carrier: StreamCarrier, stream: Stream, head: Head, opener: OpenStream
    ) -> None:
        """Open the handler."""
        super().__init__(carrier, stream, head)
        self._hold = carrier.hold
        # Each knows the other, so it is None once the call is over.
        handler = opener(self)
        self._handler: StreamHandler | None = None if self.is_done else handler

    def send(self, message: bytes) -> None:
        """Send one message."""
        self.send_all((message,))

    def send_all(self, messages: Sequence[bytes]) -> None:
        """Send messages, in one piece."""
        if self.is_done:
            return
        if not self._is_begun:
            self._begin()
        parts = [part for it in messages for part in (b"\0", len(it).to_bytes(4, "big"), it)]
        self.sender.h2.send_data(self.stream, b"".join(parts))
        self.sender.schedule_flush()

    def feed(self, data: bytes) -> None:
        """Bytes of the request; deliver the messages they complete."""
        if not self.is_done:
            self._deliver(self._gather(data))

    def go_on(self) -> None:
        """Deliver more of what has come."""
        if not self.is_done and self._buffer is not None:
            self._deliver(self._buffer)

    def _deliver(self, found: bytes | bytearray) -> None:
        """Hand on so many messages as a step may have; what is left is the connection's to do."""
        handler = self._handler
        assert handler is not None, "nothing is delivered when the call is over"
        offset = count = 0
        while (stop := self._next_message(found, offset)) >= 0 and count < MESSAGES_A_STEP_MAX:
            count += 1
            sent = cut(found, offset + PREFIX_BYTES, stop)
            message = self._inflate(sent) if found[offset] else sent
            if message is None:
                stop = OVER
                break
            handler.on_message(message)
            offset = stop
            if self.is_over:
                return  # the handler has ended the call
        if stop == OVER:
            handler.on_cancel()
            return
        self.sender.h2.spend(count * MESSAGE_UNITS)
        rest = self._use(found, offset)
        if stop >= 0:
            if self._keep(rest):
                self._hold(self)
        elif not self.stream.is_remote_closed:
            if rest:
                self._keep(rest)
        elif rest:
            self.refuse(Code.INTERNAL, "grpc: the request ended within a message")
        else:
            handler.on_half_close()

    def _use(self, found: bytes | bytearray, count: int) -> bytes | bytearray:
        """The first `count` bytes were used; return the others."""
        if not count:
            return found
        self.sender.h2.give_back(self.stream, count - self._granted_bytes)
        self._granted_bytes = 0
        if isinstance(found, bytearray):
            del found[:count]
            rest: bytes | bytearray = found
        else:
            rest = found[count:]
        buffer = self._buffer
        self._let_go()
        self._buffer = buffer if rest else None
        return rest

    def finish(self, code: int, text: str) -> None:
        """End the call with a status, as its handler says."""
        super().finish(code, text)
        self._handler = self.on_drain = None

    def refuse(self, code: int, text: str) -> None:
        """End the call because of what has come, or has not; its handler hears that it is gone."""
        handler = self._handler
        super().refuse(code, text)
        if handler is not None:
            handler.on_cancel()

    def cancel(self) -> None:
        """The stream is gone."""
        super().cancel()
        handler, self._handler = self._handler, None
        self.on_drain = None
        if handler is not None:
            handler.on_cancel()
