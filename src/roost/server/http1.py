"""HTTP/1.1 on the port: requests from bytes, in order, each with an end (RFC 9112).

What is plain is read in one step (`http1_plain`), all else by llhttp (`httptools`); here is who
waits for what, and for how long.  A request is
whole REQUEST_S after its first byte, or its connection ends with 408; one that is answered while
it still comes is left alone.  HEADERS_S are for its headers, which are HEADERS_BYTES_MAX at most
(431), as are the fields behind a body, and what is said of a chunk.  A connection on which nothing
is asked ends after IDLE_S.

Requests may follow each other before they are answered.  What has come is parsed in pieces, and no
further than to a request that waits for another's answer.  Those that are answered at once, fields
of heads and chunks of bodies are counted: a turn of the loop has so much time for all connections
of the port together (`intake`), and what is left when it is used up stands in line (D14).  So a
read costs one step no more than a few dozen requests, and a thousand that come at once no more.

A connection has one timer, which is set anew only when it has run: what is due is a number, so a
request costs no timer.

Full?  What was read and not parsed is one read; the client's socket is not read meanwhile.  What
is answered and not read counts with all others' (`unread`), and nothing more is answered before it
has left; when nothing of it has for STALL_S the connection ends.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final, cast

import httptools

from roost.flow import flow_of
from roost.server.http1_plain import Plain, plain_request
from roost.server.http1_turn import Taker, Turn
from roost.server.intake import Intake
from roost.server.unread import Unread

logger = logging.getLogger(__name__)
HEADERS_S, REQUEST_S, IDLE_S = 10.0, 30.0, 5.0
HEADERS_BYTES_MAX: Final = 64 << 10
# A client that takes nothing of its answers for so long is given up, as with gRPC.
STALL_S = 60.0
# Of what has come, so much is parsed at a time: where requests begin, and within a body.
PIECE_BYTES, BODY_PIECE_BYTES = 1 << 10, 4 << 10
# In units of the turn's budget: a field or a chunk is one, a request that begins is more.
UNITS_A_REQUEST: Final = 16
_BAD: Final = b"400 Bad Request"
_TIMED_OUT: Final = b"408 Request Timeout"
_TOO_LARGE: Final = b"431 Request Header Fields Too Large"
_NEVER_S = float("inf")
_OLD: Final = "1.0"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class _Coming(Enum):
    """What of a request is coming."""

    # Of the first request.
    FIRST = 1
    NOTHING = 2
    HEAD = 3
    BODY = 4


# Where llhttp has begun nothing: the next byte is the first of a request, whoever reads it.
_BETWEEN = (_Coming.FIRST, _Coming.NOTHING)


class Http1:
    """All connections of a port that speak it."""

    def __init__(
        self,
        begin: Callable[[Turn], Taker],
        unread: Unread | None = None,
        intake: Intake | None = None,
    ) -> None:
        """`begin` finds who answers a request, by its head."""
        self.begin = begin
        self.intake = intake or Intake()
        self.unread = unread or Unread(1 << 62, ())
        self.connections: set[Http1Protocol] = set()


class Http1Protocol:
    """One connection that speaks HTTP/1.1; an `asyncio.Protocol` by its methods."""

    def __init__(self, http: Http1, on_lost: Callable[[], None]) -> None:
        """Wait for the transport."""
        self._http = http
        self._on_lost = on_lost
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        # What was answered and has not left, while the client does not read.
        self.unread_bytes = 0
        self.client: tuple[str, int] | None = None
        self.server: tuple[str, int] | None = None
        self.is_secure = False
        self.address = ""
        self.flow = flow_of("", 0)
        self._stall: asyncio.TimerHandle | None = None
        # What has come and waits for the answers of what was parsed.
        self._rest = b""
        self._coming = _Coming.FIRST
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._headers_bytes = 0
        # The request that is being read, the one that is being answered, and those after it.
        self._reading: Turn | None = None
        self._answering: Turn | None = None
        self.waiting: deque[Turn] = deque()
        self._is_advancing = self._is_parsing = self._is_stopping = self._is_broken = False
        # Whether its client is to send nothing more for now: we have enough of a body.
        self._is_held = self._is_paused = False
        # What this step has parsed, in units, and whether it stands in line for another one.
        self._units = 0
        self._is_in_line = False
        self._due_s = _NEVER_S
        self._timer: asyncio.TimerHandle | None = None
        self._writable: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The client is there, and has said something."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by class
        self._loop = asyncio.get_running_loop()
        self.client = _place_of(transport.get_extra_info("peername"))
        self.server = _place_of(transport.get_extra_info("sockname"))
        self.is_secure = transport.get_extra_info("sslcontext") is not None
        if self.client is not None:
            self.address = self.client[0]
            self.flow = flow_of(*self.client)
        self._http.connections.add(self)
        self._expect(HEADERS_S)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """The client is gone."""
        self._http.connections.discard(self)
        self._due_s = _NEVER_S
        if self._timer is not None:
            self._timer.cancel()
        self._parser = None  # it knows our methods: nobody has to look for a circle
        self._rest = b""
        self.waiting.clear()
        self._set_stalled(is_stalled=False)
        self._wake()
        turn, self._answering, self._reading = self._answering, None, None
        if turn is not None and turn.taker is not None and not turn.is_over:
            taker, turn.taker = turn.taker, None  # each knows the other
            taker.on_gone()
        self._on_lost()

    def eof_received(self) -> None:
        """The client sends nothing more, so it is over: the loop closes the connection."""

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
        self._rest = self._rest + data if self._rest else data
        self._parse(0 if self._is_in_line else self._http.intake.budget())

    def read_on(self, budget: int) -> None:
        """Parse what has come and was left: it is this connection's turn."""
        self._is_in_line = False
        if not self.transport.is_closing():
            self._parse(budget)

    def _parse(self, budget: int) -> None:
        """Parse what has come, as far as somebody can answer it, and for so many units."""
        data, offset = self._rest, 0
        self._is_parsing = True
        self._units = 0
        try:
            while offset < len(data) and self._units < budget and self._may_parse():
                if self._coming in _BETWEEN and (plain := plain_request(data, offset)) is not None:
                    offset = plain.stop
                    self._take(plain)
                    continue
                size = BODY_PIECE_BYTES if self._coming is _Coming.BODY else PIECE_BYTES
                piece = data[offset : offset + size]
                self._headers_bytes += len(piece)
                offset += self._feed(piece)
                if self._headers_bytes > HEADERS_BYTES_MAX:
                    self._end(_TOO_LARGE)
        finally:
            self._is_parsing = False
        self._rest = data[offset:]
        self._set_reading()
        if self._rest and self._may_parse():
            self._stand_in_line(self._units)
        elif self._units:
            self._http.intake.note(self, self._units, has_more=False)

    def _take(self, plain: Plain) -> None:
        """A request has come whole."""
        self._units += UNITS_A_REQUEST
        turn = Turn(
            self,
            method=plain.method,
            path=plain.path,
            query=plain.query,
            headers=plain.headers,
            keeps_alive=True,
        )
        turn.body, turn.is_whole = plain.body, True
        self._reading = turn
        self._coming = _Coming.NOTHING
        self._due_s = _NEVER_S
        if self._answering is None:
            self._begin(turn)
        else:
            self.waiting.append(turn)

    def _may_parse(self) -> bool:
        is_stopped = self._is_held or self._is_broken or self.transport.is_closing()
        # A client that does not read its answers asks for no more of them.
        is_full = self._stall is not None and self._coming in _BETWEEN
        return not (self.waiting or is_stopped or is_full)

    def _feed(self, piece: bytes) -> int:
        """Have a piece parsed; how much of it was."""
        parser = self._parser
        assert parser is not None, "we are connected"
        try:
            parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            # Other protocols are not offered: the request is answered as if it had not asked.
            return int(upgrade.args[0]) or len(piece)
        except httptools.HttpParserError as error:
            logger.info("the client at %s speaks no HTTP: %s", self.address, error)
            self._end(_BAD)
        return len(piece)

    def _set_reading(self) -> None:
        """Read from the client, or have it wait."""
        pauses = bool(self._rest) or self._is_held
        if pauses != self._is_paused and not self.transport.is_closing():
            self._is_paused = pauses
            if pauses:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    def hold(self, *, is_held: bool) -> None:
        """Take nothing more of a body for now, or go on."""
        if is_held != self._is_held:
            self._is_held = is_held
            if is_held or not self._rest:
                self._set_reading()
            else:
                self._stand_in_line(0)

    def _stand_in_line(self, units: int) -> None:
        """Have what is left parsed in a turn to come; so much was done in this one."""
        has_more = not self._is_in_line
        self._is_in_line = True
        self._http.intake.note(self, units, has_more=has_more)

    def on_message_begin(self) -> None:
        """A request begins, perhaps in the same bytes as another (httptools)."""
        self._url, self._headers = b"", []
        self._coming = _Coming.HEAD
        self._expect(HEADERS_S)

    def on_url(self, url: bytes) -> None:
        """Some of what is asked for (httptools)."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head; those behind a body say nothing (httptools)."""
        self._units += 1
        if self._coming is _Coming.HEAD:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole, what follows is the body (httptools)."""
        self._units += UNITS_A_REQUEST
        parser, url = self._parser, self._url
        assert parser is not None, "we are connected"
        if b"#" in url:  # what stands before it is not what was meant (RFC 9112, 3.2)
            raise ValueError("nobody asks for a part of a page")
        if url.startswith(b"/") and url.isascii():
            path, _, query = url.partition(b"?")
        else:
            parsed = httptools.parse_url(url)
            path, query = parsed.path, parsed.query or b""
            path.decode("ascii")
        is_old = parser.get_http_version() == _OLD
        turn = Turn(
            self,
            method=parser.get_method().decode("ascii"),
            path=path,
            query=query,
            headers=self._headers,
            keeps_alive=not is_old and parser.should_keep_alive(),
            is_old=is_old,
        )
        self._reading = turn
        self._coming = _Coming.BODY
        self._headers_bytes = 0
        self._expect(REQUEST_S)
        if self.transport.is_closing():
            return
        if self._answering is None and self._stall is None:
            self._begin(turn)
        else:
            self.waiting.append(turn)

    def on_chunk_header(self) -> None:
        """A chunk begins; behind the last one are fields, which are no longer than a head's.

        What gathers them copies all there is with each piece of them (httptools).
        """
        self._headers_bytes = 0

    def on_body(self, body: bytes) -> None:
        """Some of the body (httptools)."""
        self._units += 1
        self._headers_bytes = 0
        turn = self._reading
        assert turn is not None, "a body has a head"
        if turn.is_over:
            return
        if turn.taker is None:
            turn.body += body  # of a request that waits: nothing more is parsed
        else:
            turn.taker.on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole (httptools)."""
        turn = self._reading
        assert turn is not None, "a request has a head"
        self._coming = _Coming.NOTHING
        self._headers_bytes = 0
        turn.is_whole = True
        self._due_s = _NEVER_S
        if turn.is_over:
            self._on_idle()
        elif turn.taker is not None:
            turn.taker.on_whole()

    def _begin(self, turn: Turn) -> None:
        """Have a request answered."""
        self._answering = turn
        taker = self._http.begin(turn)
        if turn.is_over:
            return
        turn.taker = taker
        if turn.body:
            taker.on_body(turn.body)
            turn.body = b""
        if turn.is_whole:
            taker.on_whole()
        elif turn.header(b"expect").lower() == b"100-continue":
            self.write(_CONTINUE)

    def on_over(self, turn: Turn) -> None:
        """A request was answered: the next one is."""
        self._is_held = False
        if self._answering is turn:
            self._answering = None
        if self._is_stopping or not turn.keeps_alive:
            self.waiting.clear()
            self.transport.close()
        elif not self._is_advancing and not self.transport.is_closing():
            self._advance()

    def _advance(self) -> None:
        self._is_advancing = True
        try:
            while self.waiting and self._answering is None and self._stall is None:
                self._begin(self.waiting.popleft())
        finally:
            self._is_advancing = False
        if self._answering is None:
            self._on_idle()
        if self._is_paused and not self._is_parsing and self._may_parse():
            self._stand_in_line(0)

    def _on_idle(self) -> None:
        if self._coming is _Coming.NOTHING:
            self._expect(IDLE_S)

    @property
    def is_gone(self) -> bool:
        """Whether nobody reads an answer any more."""
        return self.transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send it, unless the client is gone."""
        if not self.transport.is_closing():
            self.transport.write(data)
            if self._stall is not None:
                self.pause_writing()  # it is more that is kept

    @property
    def is_full(self) -> bool:
        """Whether the client has to read something first."""
        return self._stall is not None

    async def wait_writable(self) -> None:
        """Return when the client has read something, or is gone."""
        while self.is_full and not self.transport.is_closing():
            if self._writable is None:
                self._writable = self._loop.create_future()
            await asyncio.shield(self._writable)

    def _wake(self) -> None:
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None

    def stop(self) -> None:
        """End what has no end of its own, and then the connection."""
        self._is_stopping = True
        turn = self._answering
        if turn is None or turn.taker is None:
            self.transport.close()
        else:
            turn.taker.on_stop()

    @property
    def is_answering(self) -> bool:
        """Whether a whole request waits for the first of its answer."""
        turn = self._answering
        return turn is not None and turn.is_whole and not turn.is_begun

    def end(self) -> None:
        """Close, when what was said has left; whoever makes an answer sees its client gone."""
        turn = self._answering
        if turn is not None and turn.taker is not None and not turn.is_over:
            turn.taker.on_gone()
        self.transport.close()

    def pause_writing(self) -> None:
        """The client does not read."""
        unread = self._http.unread
        unread.others.add(self)
        self._set_stalled(is_stalled=True)
        if unread.bytes > unread.bytes_max:
            unread.shrink()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._set_stalled(is_stalled=False)
        self._wake()
        if self._answering is None and not self._is_advancing and not self.is_gone:
            self._advance()

    def give_up(self) -> None:
        """Keep nothing more for a client that does not read."""
        self.transport.abort()

    def _set_stalled(self, *, is_stalled: bool) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        unread = self._http.unread
        if is_stalled:
            size = self.transport.get_write_buffer_size()
            unread.recount(self, size)
            self._stall = self._loop.call_later(STALL_S, self._on_stalled, size)
        else:
            unread.recount(self, 0)
            unread.others.discard(self)

    def _on_stalled(self, before: int) -> None:
        if self.transport.get_write_buffer_size() < before:
            self._set_stalled(is_stalled=True)
            return
        logger.info("the client at %s has read nothing for long: given up", self.address)
        self._http.unread.given_up_count += 1
        self.give_up()

    def _expect(self, seconds: float) -> None:
        """Say by when something must have come."""
        self._due_s = due_s = self._loop.time() + seconds
        if self._timer is None:
            self._timer = self._loop.call_at(due_s, self._on_timer)
        elif self._timer.when() > due_s:
            self._timer.cancel()
            self._timer = self._loop.call_at(due_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._due_s == _NEVER_S or self.transport.is_closing():
            return
        if self._loop.time() < self._due_s:
            self._timer = self._loop.call_at(self._due_s, self._on_timer)
            return
        turn = self._answering
        if self._coming is _Coming.BODY and turn is not None and turn.is_begun:
            return  # a stream that goes both ways
        if self._rest or self.waiting or (turn is not None and turn is not self._reading):
            self._expect(HEADERS_S)  # it is we who have not parsed the rest, or not answered
        elif self._coming is _Coming.NOTHING:
            self.transport.close()
        else:
            logger.info("a request over HTTP/1.1 did not end in time")
            self._end(_TIMED_OUT)

    def _end(self, status: bytes) -> None:
        """End the connection, with a word where nobody waits for another."""
        self._rest = b""
        if self.transport.is_closing():
            return
        turn = self._answering
        if turn is not None and turn.is_whole:
            self.waiting.clear()
            self._is_broken = self._is_stopping = True
            return
        if turn is None or not turn.is_begun:
            self.write(
                b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
        self.transport.close()


def _place_of(name: object) -> tuple[str, int] | None:
    """Host and port; a socket in the file system has none."""
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None
