"""HTTP/1.1 on the port: uvicorn's protocol, with an end to requests that do not end.

A request is whole REQUEST_S after its first byte, or its connection ends with 408; a stream of the
gateway, which answers while requests still follow each other in its body, is left alone once it
has begun to answer.  HEADERS_S are for its headers, which are HEADERS_BYTES_MAX at most (431).

Requests may follow each other before they are answered.  What has come is parsed in pieces, and no
further than to a request that waits for another's answer; so a read costs one step no more than a
few dozen requests, whatever its size.

Full?  What was read and not parsed is one read; the client's socket is not read meanwhile.  What
is answered and not read counts with all others' (`unread`); when nothing of it has left for
STALL_S the connection ends.
"""

import asyncio
import logging
from collections.abc import Callable

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from roost.server.unread import Unread

logger = logging.getLogger(__name__)
HEADERS_S, REQUEST_S = 10.0, 30.0
HEADERS_BYTES_MAX = 64 << 10
# A client that takes nothing of its answers for so long is given up, as with gRPC.
STALL_S = 60.0
# Of what has come, so much is parsed at a time: where requests begin, and within a body.
PIECE_BYTES, BODY_PIECE_BYTES = 1 << 10, 8 << 10
_TIMED_OUT = b"408 Request Timeout"
_TOO_LARGE = b"431 Request Header Fields Too Large"


class Http1Protocol(HttpToolsProtocol):
    """One connection that speaks HTTP/1.1."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        on_lost: Callable[[], None],
        unread: Unread | None = None,
    ) -> None:
        """Wait for the transport."""
        # Each request's scope has it as its state: who answers later can ask whether we are gone.
        state = {"connection": self}
        super().__init__(config=config, server_state=server_state, app_state=state)
        self._on_lost = on_lost
        self._unread = unread or Unread(1 << 62, ())
        # What was answered and has not left, while the client does not read.
        self.unread_bytes = 0
        self.address = ""
        self._stall: asyncio.TimerHandle | None = None
        # What has come and waits for the answers of what was parsed.
        self._rest = b""
        self._deadline: asyncio.TimerHandle | None = None
        self._is_in_body = False
        self._headers_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's type
        """The client is there, and has said something."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self._expect(HEADERS_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._expect(None)
        self._rest = b""
        self._set_stalled(is_stalled=False)
        self._on_lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
        if self._deadline is None and self._is_idle:
            self._expect(HEADERS_S)
        self._rest += data
        self._parse()

    def _parse(self) -> None:
        """Parse what has come, as far as somebody can answer it."""
        data, offset = self._rest, 0
        while offset < len(data) and not self.pipeline and not self.transport.is_closing():
            size = BODY_PIECE_BYTES if self._is_in_body else PIECE_BYTES
            piece = data[offset : offset + size]
            offset += size
            if not self._is_in_body:
                self._headers_bytes += len(piece)
            super().data_received(piece)
            if not self._is_in_body and self._headers_bytes > HEADERS_BYTES_MAX:
                self._end(_TOO_LARGE)
        self._rest = data[offset:]
        if self._rest and not self.transport.is_closing():
            self.flow.pause_reading()

    def on_response_complete(self) -> None:
        """A request was answered: the next one is begun, and what waited is parsed."""
        super().on_response_complete()
        if self._rest and not self.transport.is_closing():
            self.flow.pause_reading()
            self.loop.call_soon(self._parse_on)

    def _parse_on(self) -> None:
        if self.parser is not None and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self._parse()
            if not self._rest and not self.pipeline:
                self.flow.resume_reading()

    def _unsupported_upgrade_warning(self) -> None:
        """Answer who asks for more in HTTP/1.1; uvicorn has two warnings for each of them."""
        logger.debug("another protocol was asked for that is not spoken here")

    @property
    def is_answering(self) -> bool:
        """Whether a whole request waits for the first of its answer."""
        cycle = self.cycle
        return cycle is not None and not cycle.response_started and not cycle.more_body

    def end(self) -> None:
        """Close, when what was said has left; whoever makes an answer sees its client gone."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()

    @property
    def is_gone(self) -> bool:
        """Whether nobody reads an answer any more."""
        return bool(self.transport.is_closing())

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def on_headers_complete(self) -> None:
        """What follows is the body."""
        self._is_in_body = True
        self._headers_bytes = 0
        self._expect(REQUEST_S)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._is_in_body = False
        self._headers_bytes = 0
        self._expect(None)
        super().on_message_complete()

    def on_message_begin(self) -> None:
        """Another request begins, perhaps in the same bytes."""
        self._expect(HEADERS_S)
        super().on_message_begin()

    def pause_writing(self) -> None:
        """The client does not read."""
        super().pause_writing()
        self._unread.others.add(self)
        self._set_stalled(is_stalled=True)
        if self._unread.bytes > self._unread.bytes_max:
            self._unread.shrink()

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        self._set_stalled(is_stalled=False)

    def give_up(self) -> None:
        """Keep nothing more for a client that does not read."""
        self.transport.abort()

    def _set_stalled(self, *, is_stalled: bool) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        if is_stalled:
            size = self.transport.get_write_buffer_size()
            self._unread.recount(self, size)
            self._stall = self.loop.call_later(STALL_S, self._on_stalled, size)
        else:
            self._unread.recount(self, 0)
            self._unread.others.discard(self)

    def _on_stalled(self, before: int) -> None:
        if self.transport.get_write_buffer_size() < before:
            self._set_stalled(is_stalled=True)
            return
        logger.info("the client at %s has read nothing for long: given up", self.address)
        self._unread.given_up_count += 1
        self.give_up()

    def _expect(self, seconds: float | None) -> None:
        """Set the time by which something must have come; None is for ever."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if seconds is not None:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(seconds, self._on_deadline)

    def _on_deadline(self) -> None:
        self._deadline = None
        if self._is_in_body and self.cycle.response_started and not self.cycle.response_complete:
            return  # a stream that goes both ways
        if self._rest:
            self._expect(HEADERS_S)  # it is we who have not parsed the rest
            return
        logger.info("a request over HTTP/1.1 did not end in time")
        self._end(_TIMED_OUT)

    def _end(self, status: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            self.transport.close()
