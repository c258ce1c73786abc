"""ASGI applications on HTTP/1.1: a task for each request (asgi: specs/www.rst, 2.3).

Full?  Of a body that nobody takes BODY_BYTES_MAX are kept, then its client is not read from; who
sends waits while a client reads nothing.
"""

import asyncio
import logging
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Message, Scope

from roost.exchange import TEXT
from roost.server.http1 import Http1Protocol
from roost.server.http1_turn import Turn
from roost.tasks import Tasks

logger = logging.getLogger(__name__)
BODY_BYTES_MAX = 64 << 10
_FAILED = b"Internal Server Error"
_VERSIONS = {"version": "3.0", "spec_version": "2.3"}


class Application:
    """An application, and its requests."""

    def __init__(self, app: ASGIApp) -> None:
        """Nobody has asked."""
        self._app = app
        self._tasks = Tasks()

    def begin(self, turn: Turn) -> "AsgiTaker":
        """Answer a request."""
        taker = AsgiTaker(turn)
        self._tasks.start(taker.run(self._app))
        return taker

    async def close(self) -> None:
        """End what is still asked."""
        await self._tasks.close()


class AsgiTaker:
    """One request."""

    def __init__(self, turn: Turn) -> None:
        """Nothing of its body has come."""
        carrier = turn.carrier
        assert isinstance(carrier, Http1Protocol), "it has what a scope says"
        self._carrier = carrier
        self._turn = turn
        self._body = bytearray()
        self._is_whole = self._is_gone = self._was_told = False
        self._waiting: asyncio.Future[None] | None = None

    def on_body(self, data: bytes) -> None:
        """Some of its body has come."""
        self._body += data
        if len(self._body) > BODY_BYTES_MAX:
            self._carrier.hold(is_held=True)
        self._wake()

    def on_whole(self) -> None:
        """All of it has."""
        self._is_whole = True
        self._wake()

    def on_gone(self) -> None:
        """Nobody waits for an answer any more."""
        self._is_gone = True
        self._wake()

    def on_stop(self) -> None:
        """Whoever answers without end is told that nobody listens any more."""
        if self._turn.is_begun:
            self.on_gone()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def run(self, app: ASGIApp) -> None:
        """Have the application answer; what it raises ends its request."""
        turn = self._turn
        try:
            await app(self._scope(), self._receive, self._send)
        except Exception:
            logger.exception("a page failed")
        finally:
            if not turn.is_begun and not self._is_gone:
                turn.keeps_alive = False
                turn.answer(500, (TEXT,), _FAILED)
            elif not turn.is_over:
                turn.abandon()

    def _scope(self) -> Scope:
        turn, carrier = self._turn, self._carrier
        path = turn.path.decode("ascii")
        return {
            "type": "http",
            "asgi": _VERSIONS,
            "http_version": "1.0" if turn.is_old else "1.1",
            "method": turn.method,
            "scheme": "https" if carrier.is_secure else "http",
            "path": unquote_to_bytes(path).decode(errors="replace") if "%" in path else path,
            "raw_path": turn.path,
            "query_string": turn.query,
            "root_path": "",
            "headers": turn.headers,
            "client": carrier.client,
            "server": carrier.server,
            # Who answers later can ask whether the client is gone.
            "state": {"connection": carrier},
        }

    async def _receive(self) -> Message:
        while not (self._is_gone or self._turn.is_over or self._has_more):
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        if self._is_gone or self._turn.is_over:
            return {"type": "http.disconnect"}
        body = bytes(self._body)
        self._body.clear()
        self._carrier.hold(is_held=False)
        self._was_told = self._is_whole
        return {"type": "http.request", "body": body, "more_body": not self._is_whole}

    @property
    def _has_more(self) -> bool:
        return bool(self._body) or (self._is_whole and not self._was_told)

    async def _send(self, message: Message) -> None:
        turn, carrier = self._turn, self._carrier
        if carrier.is_full:
            await carrier.wait_writable()
        if carrier.is_gone:
            return
        if message["type"] == "http.response.start":
            fields = list(message.get("headers", ()))
            turn.begin(message["status"], fields, length=_length_of(fields))
            return
        if message.get("more_body", False):
            turn.send(message.get("body", b""))
        else:
            turn.end(message.get("body", b""))
            self._wake()


def _length_of(fields: list[tuple[bytes, bytes]]) -> int | None:
    for name, value in fields:
        if name.lower() == b"content-length":
            return int(value)
    return None
