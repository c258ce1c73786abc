"""Calls that came as JSON: what services answer waits here for the post that carries it.

An answer of a stream becomes JSON when its client takes it, a bounded part in a turn of the loop: a
revision may have ten thousand events.

Full?  A stream whose client does not read is not written to, and says how much waits
(`pending_bytes`): its service decides what then, and no request of it is read on while that is
more than PENDING_BYTES_MAX.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from google.protobuf.message import Message

from roost.call import Code, Sending
from roost.flow import Flow
from roost.server.json_parts import STEP_BYTES, JsonParts, json_of

PENDING_BYTES_MAX = 64 << 10
# What is said when there is nothing to say: JSON has none of it between its values.
HEARTBEAT = b"\n"
# A client that wants none says so with `off` in this header.
HEARTBEAT_HEADER = b"x-roost-heartbeat"
# What HTTP says of a call's end (grpc-gateway v1: HTTPStatusFromCode); anything else is 500.
HTTP_STATUS: Mapping[int, int] = {
    Code.OK: 200,
    Code.CANCELLED: 408,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.UNAUTHENTICATED: 401,
}


class JsonCall:
    """A unary call, or one that answers once: its outcome is a future."""

    on_drain: Callable[[], None] | None = None
    pending_bytes = 0

    def __init__(
        self,
        token: str,
        address: str,
        flow: Flow,
        is_gone: Callable[[], bool] = lambda: False,
    ) -> None:
        """Nothing has come yet; `is_gone()` says whether the connection it came by is."""
        self._is_gone = is_gone
        self.token = token
        self.address = address
        self.flow = flow
        # A proxy's certificate must not make its clients somebody (CVE-2018-16886).
        self.certificate_name = ""
        self.outcome: asyncio.Future[bytes | JsonParts] = asyncio.get_running_loop().create_future()
        self._parts: JsonParts | None = None

    @property
    def is_over(self) -> bool:
        """Whether it was answered, or nobody waits any more."""
        if self._is_gone():
            return True
        return self.outcome.done() if self._parts is None else self._parts.is_over

    def leave(self) -> None:
        """Nobody waits for an answer any more."""
        self.outcome.cancel()
        if self._parts is not None:
            self._parts.leave()

    def reply(self, message: bytes) -> None:
        """Answer."""
        if not self.outcome.done():
            self.outcome.set_result(message)

    def reply_in_parts(self, size: int) -> Sending:
        """Answer with a long message."""
        parts = self._parts = JsonParts(size)
        if self.outcome.done():
            parts.leave()
        else:
            self.outcome.set_result(parts)
        return parts

    def fail(self, code: int, text: str) -> None:
        """Answer with a status."""
        if self._parts is not None:
            self._parts.fail(FailedError(code, text))
        elif not self.outcome.done():
            self.outcome.set_exception(FailedError(code, text))

    def send(self, message: bytes) -> None:
        """The one message of a method that may take long."""
        self.reply(message)

    def send_all(self, messages: Sequence[bytes]) -> None:
        """There is one."""
        for message in messages:
            self.reply(message)

    def finish(self, code: int, text: str) -> None:
        """The end of a method that may take long."""
        self.fail(code, text)


class FailedError(Exception):
    """A call was answered with a gRPC status."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class _LastLine:
    """The end of a stream, and what is said of it; b"" when nothing is."""

    line: bytes


class JsonStream:
    """A stream: messages wait here until the client has taken those before."""

    def __init__(self, token: str, address: str, flow: Flow, kind: type[Message]) -> None:
        """`kind` is that of the answers."""
        self.token = token
        self.address = address
        self.flow = flow
        self.certificate_name = ""
        self.on_drain: Callable[[], None] | None = None
        self.pending_bytes = 0
        self._kind = kind
        self._waiting: asyncio.Queue[bytes | _LastLine] = asyncio.Queue()
        self._room = asyncio.Event()
        self._room.set()
        self.first_status = 200
        self._is_begun = self._is_over = False

    def send(self, message: bytes) -> None:
        """Queue an answer."""
        if self._is_over:
            return
        self._is_begun = True
        self.pending_bytes += len(message)
        if self.pending_bytes > PENDING_BYTES_MAX:
            self._room.clear()
        self._waiting.put_nowait(message)

    def send_all(self, messages: Sequence[bytes]) -> None:
        """Queue answers."""
        for message in messages:
            self.send(message)

    def finish(self, code: int, text: str) -> None:
        """End the stream; an error is its last line."""
        if self._is_over:
            return
        line = b""
        if code:
            status = HTTP_STATUS.get(code, 500)
            if not self._is_begun:
                self.first_status = status
            said = {"grpc_code": code, "http_code": status, "message": text}
            error = {"error": {**said, "http_status": HTTPStatus(status).phrase}}
            line = json.dumps(error, separators=(",", ":")).encode() + b"\n"
        self._is_over = True
        self._room.set()
        self._waiting.put_nowait(_LastLine(line))

    def leave(self) -> None:
        """Nobody takes any more: whoever answers is told nothing, and need not be known."""
        self._is_over = True
        self.on_drain = None

    async def has_room(self) -> bool:
        """Return when not much waits for the client; False when nothing more comes."""
        await self._room.wait()
        return not self._is_over

    async def parts(self, quiet_s: float | None = None) -> AsyncIterator[bytes]:
        """The lines, in parts as they become JSON; a short line is one part.

        Behind a line, after so long without another one, it is HEARTBEAT.
        """
        answer: bytes | _LastLine | None = await self._waiting.get()
        while not isinstance(answer, _LastLine):
            if answer is None:
                yield HEARTBEAT
            else:
                self._on_taken(len(answer))
                part = bytearray(b'{"result":')
                async for piece in json_of(self._kind, answer):
                    part += piece
                    if len(part) >= STEP_BYTES:
                        yield bytes(part)
                        part.clear()
                yield bytes(part) + b"}\n"
            answer = await self._next(quiet_s)
        if answer.line:
            yield answer.line

    async def _next(self, within_s: float | None) -> bytes | _LastLine | None:
        """What was answered next; None when it did not come in time."""
        try:
            async with asyncio.timeout(within_s):
                return await self._waiting.get()
        except TimeoutError:
            return None

    def _on_taken(self, size: int) -> None:
        self.pending_bytes -= size
        if self.pending_bytes <= PENDING_BYTES_MAX:
            self._room.set()
        if not self.pending_bytes and self.on_drain is not None:
            self.on_drain()
