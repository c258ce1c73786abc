"""One request over HTTP/1.1 and the way back for its answer (RFC 9112).

Whoever takes a request answers it whole, or begins an answer and sends it piece by piece; pieces
of an answer whose length was not said are chunks, and for a client of HTTP/1.0 its end is that of
the connection.  An answer that nobody reads any more goes nowhere.
"""

from http import HTTPStatus
from typing import Final, Protocol

from roost.exchange import Fields
from roost.flow import Flow

_CHUNKED: Final = b"transfer-encoding: chunked\r\n"
_CLOSE: Final = b"connection: close\r\n"
_NO_CONTENT, _NOT_MODIFIED = 204, 304


def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


_STATUS_LINES = {status: _status_line(status) for status in range(100, 600)}


def lines_of(fields: Fields | list[tuple[bytes, bytes]]) -> bytes:
    """Fields as they stand in a head.

    Raises:
        ValueError: one of them would begin another line.

    """
    lines = b"".join([b"%b: %b\r\n" % field for field in fields])
    if lines.count(b"\n") != len(fields) or lines.count(b"\r") != len(fields):
        raise ValueError(f"a field of an answer has a line break: {lines!r}")
    return lines


class Carrier(Protocol):
    """The connection that requests come by."""

    address: str
    flow: Flow
    is_secure: bool

    @property
    def is_full(self) -> bool:
        """Whether the client has to read something first."""

    async def wait_writable(self) -> None:
        """Return when the client has read something, or is gone."""

    @property
    def is_gone(self) -> bool:
        """Whether nobody reads an answer any more."""

    def write(self, data: bytes) -> None:
        """Send it, unless the client is gone."""

    def on_over(self, turn: "Turn") -> None:
        """A request was answered."""


class Taker(Protocol):
    """Who answers a request."""

    def on_body(self, data: bytes) -> None:
        """Some of its body has come."""

    def on_whole(self) -> None:
        """All of it has."""

    def on_gone(self) -> None:
        """Nobody waits for an answer any more."""

    def on_stop(self) -> None:
        """The port closes: end an answer that has no end of its own."""


class Turn:
    """A request whose head has come, and its answer."""

    __slots__ = (
        "_head",
        "_is_chunked",
        "_left_bytes",
        "body",
        "carrier",
        "headers",
        "is_begun",
        "is_old",
        "is_over",
        "is_whole",
        "keeps_alive",
        "method",
        "path",
        "query",
        "taker",
    )

    def __init__(
        self,
        carrier: Carrier,
        *,
        method: str,
        path: bytes,
        query: bytes,
        headers: list[tuple[bytes, bytes]],
        keeps_alive: bool,
        is_old: bool = False,
    ) -> None:
        """A request as it came: names of `headers` in small letters, `is_old` of HTTP/1.0."""
        self.carrier = carrier
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.keeps_alive = keeps_alive
        self.is_old = is_old
        # Of its body, what has come before somebody takes it, and whether all has come.
        self.body = b""
        self.is_whole = self.is_begun = self.is_over = False
        self.taker: Taker | None = None
        # A head that waits for the first piece, as a length was said; and what is left of that.
        self._head = b""
        self._left_bytes = 0
        self._is_chunked = False

    def header(self, name: bytes) -> bytes:
        """The first field of a name; empty when there is none."""
        for key, value in self.headers:
            if key == name:
                return value
        return b""

    def answer(self, status: int, fields: Fields, body: bytes, lines: bytes = b"") -> None:
        """Send a whole answer; `lines` are more fields, as `lines_of` makes them."""
        assert not self.is_begun, "a request is answered once"
        self.is_begun = True
        has_body = status not in (_NO_CONTENT, _NOT_MODIFIED)
        head = b"%b%b%b%b%b\r\n" % (
            _STATUS_LINES[status],
            lines_of(fields),
            lines,
            b"content-length: %d\r\n" % len(body) if has_body else b"",
            b"" if self.keeps_alive else _CLOSE,
        )
        self.carrier.write(head + body if has_body and self.method != "HEAD" else head)
        self._finish()

    def begin(
        self,
        status: int,
        fields: Fields | list[tuple[bytes, bytes]],
        lines: bytes = b"",
        *,
        length: int | None = None,
    ) -> None:
        """Begin an answer; `length` says how long its body is, and stands in `fields` already."""
        assert not self.is_begun, "a request is answered once"
        self.is_begun = True
        mode = b""
        if length is None and self.method != "HEAD" and status not in (_NO_CONTENT, _NOT_MODIFIED):
            self._is_chunked = not self.is_old
            mode = _CHUNKED if self._is_chunked else b""
            self.keeps_alive = self.keeps_alive and self._is_chunked
        self._left_bytes = length or 0
        close = b"" if self.keeps_alive else _CLOSE
        head = _STATUS_LINES[status] + lines_of(fields) + lines + mode + close + b"\r\n"
        if length:
            self._head = head
        else:
            self.carrier.write(head)

    def send(self, piece: bytes) -> None:
        """Send a piece of what was begun.

        Raises:
            ValueError: it is longer than was said.

        """
        assert self.is_begun, "an answer begins with its head"
        if self.method == "HEAD" or not piece or self.is_over:
            return
        if self._is_chunked:
            self.carrier.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            return
        if not self.is_old or self._left_bytes:
            if len(piece) > self._left_bytes:
                raise ValueError("the body of an answer is longer than was said")
            self._left_bytes -= len(piece)
        self.carrier.write(self._head + piece if self._head else piece)
        self._head = b""

    def end(self, piece: bytes = b"") -> None:
        """That was all, with a last piece; both leave as one packet, each of which costs a call.

        Raises:
            ValueError: it is longer than was said.

        """
        if self.is_over:
            return
        if piece and self._is_chunked and self.method != "HEAD":
            self.carrier.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(piece), piece))
            self._finish()
            return
        self.send(piece)
        if self._head:
            self.carrier.write(self._head)
        if self._is_chunked:
            self.carrier.write(b"0\r\n\r\n")
        elif self._left_bytes and self.method != "HEAD":
            self.keeps_alive = False  # its client has to see that something is missing
        self._finish()

    def abandon(self) -> None:
        """Nothing can be said any more: the connection ends, and so its client knows."""
        self.keeps_alive = False
        if not self.is_over:
            self._finish()

    def _finish(self) -> None:
        self.is_over = True
        self.taker = None  # it knows us
        self.carrier.on_over(self)
