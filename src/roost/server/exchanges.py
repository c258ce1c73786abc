"""Exchanges over HTTP/1.1 (`roost.exchange`), as one ASGI application.

Full?  A body is at most `body_bytes_max`, and all of them together have the room that requests
over gRPC have (`posts`).  An answer that comes in pieces waits for its client to take each.
"""

import asyncio
import logging
from collections.abc import AsyncIterator

from starlette.types import Receive, Scope, Send

from roost.exchange import Answer, Answerer, BodyCut, FlowAnswerer, Request, Streaming
from roost.server.admission import Admission
from roost.server.bodies import FULL, Bodies
from roost.server.posts import (
    TOO_LARGE,
    Post,
    Sender,
    address_of,
    leave,
    token_of,
    traced_flow_of,
    unavailable,
)
from roost.tasks import Tasks

logger = logging.getLogger(__name__)
# A form writes a byte as three at the most.
FORM_PART = 3


class Exchanges:
    """Reads requests, has them answered, and sends the answers."""

    def __init__(
        self, answer: Answerer, *, admission: Admission, bodies: Bodies, body_bytes_max: int
    ) -> None:
        """Have all requests answered by `answer`."""
        self._answer = answer
        self._admission = admission
        self._bodies = bodies
        self._body_bytes_max = body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        post = Post(self._bodies, address_of(scope))
        try:
            answer = await self._answered(post, scope, receive)
        except MemoryError:
            logger.warning("a request was given no memory: it ends")
            answer = unavailable(self._admission.on_error().text)
        finally:
            post.release()
        if isinstance(answer, Answer):
            await _send_whole(send, answer)
        elif answer is not None:
            await _send_pieces(answer, receive, send)

    async def _answered(
        self, post: Post, scope: Scope, receive: Receive
    ) -> Answer | Streaming | None:
        """The answer to a request; None when its client has gone."""
        refusal = self._admission.refusal(scope["raw_path"])
        if refusal is not None:
            return unavailable(refusal.text)
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                return None
            if not post.add(event.get("body", b"")):
                return unavailable(FULL.text)
            if len(post.data) > self._body_bytes_max:
                return TOO_LARGE
            if not event.get("more_body"):
                break
        post.on_whole()
        return await self._answer(_request(scope, bytes(post.data)))


class Flows:
    """As `Exchanges`, for requests whose bodies are streams: answered while they come.

    Full?  What has come and was not taken is one piece of a connection; then the client waits.
    """

    def __init__(self, answer: FlowAnswerer, *, admission: Admission) -> None:
        """Have all requests answered by `answer`."""
        self._answer = answer
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        refusal = self._admission.refusal(scope["raw_path"])
        answer: Answer | Streaming
        if refusal is not None:
            answer = unavailable(refusal.text)
        else:
            answer = await self._answer(_request(scope, b""), _pieces_of(receive))
        if isinstance(answer, Answer):
            await _send_whole(send, answer)
            return
        try:
            await _send_each(answer, send)
        except BodyCut:
            logger.info("a client has gone while it was sending")
        finally:
            answer.close()


async def _pieces_of(receive: Receive) -> AsyncIterator[bytes]:
    """A body as it comes.

    Raises:
        BodyCut: the client has gone before its end.

    """
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise BodyCut("the client has gone")
        if data := event.get("body", b""):
            yield data
        if not event.get("more_body"):
            return


def _request(scope: Scope, body: bytes) -> Request:
    return Request(
        method=scope["method"],
        raw_path=scope["raw_path"],
        query=scope["query_string"],
        caller=Sender(token_of(scope["headers"]), address_of(scope), traced_flow_of(scope)),
        headers=dict(scope["headers"]),
        body=body,
    )


async def _send_whole(send: Send, answer: Answer) -> None:
    length = (b"content-length", b"%d" % len(answer.body))
    headers = [*answer.headers, length]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _send_pieces(answer: Streaming, receive: Receive, send: Send) -> None:
    """Send what comes, until that ends or the client has gone."""
    tasks = Tasks()
    sending = tasks.start(_send_each(answer, send))
    leaving = tasks.start(leave(receive))
    try:
        await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        answer.close()
        await tasks.close()


async def _send_each(answer: Streaming, send: Send) -> None:
    headers = list(answer.headers)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    async for piece in answer.pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        # A client that reads as fast as pieces are made would have all made in one step.
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b"", "more_body": False})
