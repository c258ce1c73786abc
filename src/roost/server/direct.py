"""Exchanges over HTTP/1.1 (`roost.exchange`) by callbacks: neither task nor future for most.

Full?  A body is at most `body_bytes_max`, and all of them together have the room that requests
over gRPC have (`posts`); of each SMALL_BYTES are not counted, which is less than its connection
takes.  An answer that comes in pieces waits for its client to take each.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from roost import tracing
from roost.exchange import TEXT, Answer, Beginner, Quick, Request, Streaming
from roost.server.admission import Admission
from roost.server.bodies import FULL, Bodies
from roost.server.http1_turn import Turn
from roost.server.origins import Hosts, Origins
from roost.server.posts import TOO_LARGE, Post, Sender, token_of, unavailable
from roost.tasks import Tasks

logger = logging.getLogger(__name__)
SMALL_BYTES: Final = 1 << 10
_FAILED = Answer(500, b"Internal Server Error", (TEXT,))
_MISDIRECTED: Final = 421


class Direct:
    """Reads requests, has them answered, and sends the answers."""

    def __init__(
        self,
        answer: Beginner,
        *,
        admission: Admission,
        bodies: Bodies,
        body_bytes_max: int,
        origins: Origins,
        hosts: Hosts,
    ) -> None:
        """Have all requests answered by `answer`."""
        self.answer = answer
        self.admission = admission
        self.bodies = bodies
        self.body_bytes_max = body_bytes_max
        self.origins = origins
        self._hosts = hosts
        self.tasks = Tasks()

    def begin(self, turn: Turn) -> "DirectExchange":
        """Answer a request."""
        exchange = DirectExchange(self, turn)
        refusal = self.admission.refusal(turn.path)
        wrong = self._hosts.refusal(turn.header(b"host"), is_secure=turn.carrier.is_secure)
        if wrong:
            exchange.reply(Answer(_MISDIRECTED, wrong.encode(), (TEXT,)))
        elif turn.method == "OPTIONS":
            exchange.reply(Answer(200, b"", ()))
        elif refusal is not None:
            exchange.reply(unavailable(refusal.text))
        return exchange

    async def close(self) -> None:
        """End what is still told."""
        await self.tasks.close()


class DirectExchange:
    """One request."""

    __slots__ = ("_body", "_exchanges", "_on_gone", "_post", "_streaming", "turn")

    def __init__(self, exchanges: Direct, turn: Turn) -> None:
        """Nothing of its body has come."""
        self._exchanges = exchanges
        self.turn = turn
        self._body = b""
        # A body that is counted.
        self._post: Post | None = None
        self._streaming: Streaming | None = None
        self._on_gone: Callable[[], object] | None = None

    def hear_gone(self, on_gone: Callable[[], object]) -> None:
        """Call it when nobody waits any more, and no answer was sent."""
        self._on_gone = on_gone

    def on_body(self, data: bytes) -> None:
        """Some of its body has come."""
        if self._post is None and len(self._body) + len(data) <= SMALL_BYTES:
            self._body += data
            return
        if self._post is None:
            self._post = Post(self._exchanges.bodies, self.turn.carrier.address)
            data, self._body = self._body + data, b""
        if not self._post.add(data):
            self.reply(unavailable(FULL.text))
        elif len(self._post.data) > self._exchanges.body_bytes_max:
            self.reply(TOO_LARGE)

    def on_whole(self) -> None:
        """All of it has."""
        turn, body = self.turn, self._body
        if self._post is not None:
            self._post.on_whole()
            body = bytes(self._post.data)
        carrier, flow = turn.carrier, turn.carrier.flow
        if tracing.is_on():
            name = f"{turn.method} {turn.path.decode('latin-1')}"
            flow = tracing.traced(flow, turn.headers, name, carrier.address)
        headers = dict(turn.headers)
        request = Request(
            method=turn.method,
            raw_path=turn.path,
            query=turn.query,
            caller=Sender(token_of(turn.headers), carrier.address, flow),
            headers=headers,
            body=body,
            waiting=self,
        )
        try:
            self._exchanges.answer(request, self.reply)
        except MemoryError:
            logger.warning("a request was given no memory: it ends")
            self.reply(unavailable(self._exchanges.admission.on_error().text))
        except Exception:
            logger.exception("a request failed")
            self.reply(_FAILED)

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for an answer any more."""
        return self.turn.is_over or self.turn.carrier.is_gone

    def reply(self, answer: Answer | Streaming) -> None:
        """Send what is said; what comes after that goes nowhere."""
        if self._post is not None:
            self._post.release()
        turn = self.turn
        if turn.is_begun or turn.carrier.is_gone:
            if isinstance(answer, Streaming):
                answer.close()
            return
        lines = self._exchanges.origins.lines(turn.header(b"origin"))
        if isinstance(answer, Answer):
            self._on_gone = None  # what is called then may know the request, and that knows us
            turn.answer(answer.status, answer.headers, answer.body, lines)
        else:
            self._streaming = answer
            turn.begin(answer.status, answer.headers, lines)
            if answer.quick is None:
                self._exchanges.tasks.start(self._send_each(answer))
            else:
                self._send_quickly(answer, answer.quick)

    def on_gone(self) -> None:
        """Nobody waits for an answer any more."""
        if self._post is not None:
            self._post.release()
        hearer, self._on_gone = self._on_gone, None
        if hearer is not None:
            hearer()
        self.on_stop()

    def on_stop(self) -> None:
        """An answer without end ends."""
        if self._streaming is not None:
            self._streaming.close()

    def _send_quickly(self, answer: Streaming, quick: Quick) -> None:
        """Send what there is, and hear of more; in a task once that has to wait for the client."""
        turn, carrier = self.turn, self.turn.carrier
        try:
            if turn.is_over or carrier.is_gone:
                answer.close()
                turn.end()
                return
            while (piece := None if carrier.is_full else quick.take()) is not None:
                if quick.is_over:
                    answer.close()
                    turn.end(piece)
                    return
                turn.send(piece)
                if quick.hear(partial(self._send_quickly, answer, quick)):
                    return
            self._exchanges.tasks.start(self._send_each(answer))
        except Exception:
            logger.exception("a stream failed")
            answer.close()
            turn.abandon()

    async def _send_each(self, answer: Streaming) -> None:
        turn, carrier = self.turn, self.turn.carrier
        try:
            async for piece in answer.pieces:
                turn.send(piece)
                if carrier.is_full and not answer.is_made:
                    await carrier.wait_writable()
        except Exception:
            logger.exception("a stream failed")
            turn.abandon()
        else:
            turn.end()
        finally:
            answer.close()
