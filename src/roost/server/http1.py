"""HTTP/1.1 on the port: uvicorn's protocol, with an end to requests that do not end.

A request is whole REQUEST_S after its first byte, or its connection ends with 408; a stream of the
gateway, which answers while requests still follow each other in its body, is left alone once it
has begun to answer.  HEADERS_S are for its headers, which are HEADERS_BYTES_MAX at most (431).
"""

import asyncio
import logging
from collections.abc import Callable

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

logger = logging.getLogger(__name__)
HEADERS_S, REQUEST_S = 10.0, 30.0
HEADERS_BYTES_MAX = 64 << 10
_TIMED_OUT = b"408 Request Timeout"
_TOO_LARGE = b"431 Request Header Fields Too Large"


class Http1Protocol(HttpToolsProtocol):
    """One connection that speaks HTTP/1.1."""

    def __init__(
        self, config: Config, server_state: ServerState, on_lost: Callable[[], None]
    ) -> None:
        """Wait for the transport."""
        super().__init__(config=config, server_state=server_state, app_state={})
        self._on_lost = on_lost
        self._deadline: asyncio.TimerHandle | None = None
        self._is_in_body = False
        self._headers_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's type
        """The client is there, and has said something."""
        super().connection_made(transport)
        self._expect(HEADERS_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._expect(None)
        self._on_lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
        if self._deadline is None and self._is_idle:
            self._expect(HEADERS_S)
        if not self._is_in_body:
            self._headers_bytes += len(data)
        super().data_received(data)
        if not self._is_in_body and self._headers_bytes > HEADERS_BYTES_MAX:
            self._end(_TOO_LARGE)

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
        logger.info("a request over HTTP/1.1 did not end in time")
        self._end(_TIMED_OUT)

    def _end(self, status: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            self.transport.close()
