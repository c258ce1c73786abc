"""The JSON gateway: methods as HTTP posts, as grpc-gateway v1 has etcd's.

A post to `/v3/kv/put` has the request as JSON, bytes in base64, and gets the answer as JSON:
names as in the schema, 64-bit numbers as strings, defaults left out.  A stream answers
`{"result": ...}` a line, for as long as it lasts; requests may follow each other in the body.  One
that has begun and says nothing sends a newline now and then, where that is asked for.
`/v3beta/` and `/v3alpha/` are older names of `/v3/`.  Nothing is ever changed by a GET.

Full?  A body is at most `body_bytes_max`, and all of them together have the room that requests over
gRPC have (`bodies`); what waits for a client that does not read stands in `json_calls`.
"""

import asyncio
import codecs
import json
import logging
import re
from collections.abc import Iterable, Mapping

from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from starlette.types import Receive, Scope, Send

from roost.call import Code, OpenStream, Route, Status, Stream, StreamHandler, Unary
from roost.server.admission import Admission
from roost.server.bodies import FULL, MESSAGES_MIN, Bodies
from roost.server.json_calls import (
    HEARTBEAT_HEADER,
    HTTP_STATUS,
    FailedError,
    JsonCall,
    JsonStream,
)
from roost.server.json_parts import JsonParts, json_of
from roost.server.json_request import fill
from roost.server.json_text import OBJECTS_MAX, check_size, read_in_steps
from roost.server.json_values import PIECE_CHARS, JsonValues, TooLong
from roost.server.methods import TIMEOUT_UNITS
from roost.server.posts import (
    Post,
    address_of,
    flow_of_scope,
    leave,
    token_of,
    traced_flow_of,
)
from roost.slices import in_turns
from roost.tasks import Tasks

logger = logging.getLogger(__name__)
VERSIONS = ("v3", "v3beta", "v3alpha")
_LATE = Status(Code.DEADLINE_EXCEEDED, "context deadline exceeded")
_TIMEOUT = re.compile(r"([+-]?[0-9]{1,18})([HMSmun])")
# A longer timeout is none that anybody waits for.
_TIMEOUT_S_MAX = 10 * 365 * 86400.0
_JSON_HEAD = [(b"content-type", b"application/json")]


class JsonMethod:
    """One method, as an ASGI application of its own."""

    def __init__(
        self,
        descriptor: MethodDescriptor,
        route: Route,
        *,
        path: bytes = b"",
        admission: Admission | None = None,
        bodies: Bodies | None = None,
        body_bytes_max: int,
        objects_max: int = OBJECTS_MAX,
        heartbeat_s: float = 0.0,
    ) -> None:
        """Answer posts by what `route` does, as its gRPC `path` would; see `make_routes`."""
        self._heartbeat_s = heartbeat_s
        self._bodies = bodies or Bodies(2 * MESSAGES_MIN * body_bytes_max)
        self._path = path
        self.descriptor = descriptor
        self._admission = admission or Admission()
        self._route = route
        self._request: type[Message] = GetMessageClass(descriptor.input_type)
        self._response: type[Message] = GetMessageClass(descriptor.output_type)
        self._streams = descriptor.server_streaming
        self._body_bytes_max = body_bytes_max
        self._objects_max = objects_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            refusal = self._admission.refusal(self._path)
            if refusal is not None:
                raise FailedError(*refusal)
            if self._streams and isinstance(self._route, Stream):
                await self._stream(self._route.open, scope, receive, send)
            else:
                await self._unary(scope, receive, send)
        except FailedError as failed:
            failed.__traceback__ = None  # its frames know the call, and that knows it
            await _send_error(send, failed.code, failed.text)
        except MemoryError:
            # An answer that was begun ends with its connection.
            logger.warning("a request was given no memory: it ends")
            await _send_error(send, *self._admission.on_error())

    async def _encode(self, text: str) -> bytes:
        """The bytes of the request that a text says; over turns of the loop, if it is long.

        Raises:
            BadJson: it says no such request.

        """
        check_size(text, self._objects_max)
        message, value = self._request(), await in_turns(read_in_steps(text))
        await in_turns(fill(message, value))
        return message.SerializeToString()

    async def _unary(self, scope: Scope, receive: Receive, send: Send) -> None:
        post = Post(self._bodies, address_of(scope))
        try:
            while True:
                event = await receive()
                if event["type"] == "http.disconnect":
                    return
                if not post.add(event.get("body", b"")):
                    raise FailedError(*FULL)
                if len(post.data) > self._body_bytes_max:
                    text = f"request body is larger than {self._body_bytes_max} bytes"
                    raise FailedError(Code.RESOURCE_EXHAUSTED, text)
                if not event.get("more_body"):
                    break
            post.on_whole()
            await self._answer(post.data, scope, receive, send)
        finally:
            post.release()

    async def _answer(self, body: bytearray, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that is whole."""
        try:
            message = await self._encode(body.decode() or "{}")
        except ValueError as error:  # BadJson, or no UTF-8
            raise FailedError(Code.INVALID_ARGUMENT, str(error)) from error
        connection = scope.get("state", {}).get("connection")
        call = JsonCall(
            token_of(scope["headers"]),
            address_of(scope),
            traced_flow_of(scope),
            lambda: connection is not None and connection.is_gone,
        )
        timeout_s = _timeout_of(scope)
        try:
            async with asyncio.timeout(timeout_s):
                if isinstance(self._route, Unary):
                    self._route.handle(call, message)
                    answer = await call.outcome
                else:
                    answer = await _wait_long(self._route.open(call), call, message, receive)
            if isinstance(answer, bytes):
                said = b"".join([piece async for piece in json_of(self._response, answer)])
                await _send_whole(send, 200, said)
            else:
                await self._send_parts(answer, receive, send)
        except TimeoutError:
            raise FailedError(*_LATE) from None
        finally:
            call.leave()

    async def _send_parts(self, answer: JsonParts, receive: Receive, send: Send) -> None:
        """Send an answer as it comes; one that ends too early ends the connection."""
        said = json_of(self._response, answer)
        begun = await anext(said)  # what fails before anything was said has its status in the head
        await send({"type": "http.response.start", "status": 200, "headers": _JSON_HEAD})
        await send({"type": "http.response.body", "body": begun, "more_body": True})
        tasks = Tasks()
        leaving = tasks.start(leave(receive))
        try:
            async for piece in said:
                if leaving.done():
                    return
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except FailedError as failed:
            logger.info("an answer ended before its end: %s", failed)
        else:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await tasks.close()

    async def _stream(
        self, open_stream: OpenStream, scope: Scope, receive: Receive, send: Send
    ) -> None:
        timeout_s = _timeout_of(scope)
        token, address, flow = token_of(scope["headers"]), address_of(scope), flow_of_scope(scope)
        call = JsonStream(token, address, flow, self._response)
        handler = open_stream(call)
        tasks = Tasks()
        tasks.start(self._read(handler, call, receive))
        late = None
        if timeout_s is not None:
            late = asyncio.get_running_loop().call_later(timeout_s, call.finish, *_LATE)
        parts = call.parts(self._heartbeat_of(scope))
        try:
            part = await anext(parts, b"")
            # What fails before anything was said has its status in the head, as etcd's.
            head = {"type": "http.response.start", "status": call.first_status}
            await send({**head, "headers": _JSON_HEAD})
            while part:
                await send({"type": "http.response.body", "body": part, "more_body": True})
                part = await anext(parts, b"")
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            if late is not None:
                late.cancel()
            handler.on_cancel()
            call.leave()
            await tasks.close()

    def _heartbeat_of(self, scope: Scope) -> float | None:
        """How long a stream may say nothing; None is for ever."""
        said = dict(scope["headers"]).get(HEARTBEAT_HEADER, b"").strip().lower()
        return None if said == b"off" else self._heartbeat_s or None

    async def _read(self, handler: StreamHandler, call: JsonStream, receive: Receive) -> None:
        """Hand every request in the body on as soon as it is whole."""
        values, is_whole = JsonValues(self._body_bytes_max), False
        utf8 = codecs.getincrementaldecoder("utf-8")()
        try:
            while True:
                event = await receive()
                if event["type"] == "http.disconnect":
                    call.finish(Code.OK, "")
                    return
                said = utf8.decode(event.get("body", b""), not event.get("more_body"))
                for begin in range(0, len(said), PIECE_CHARS):
                    for text in values.feed(said[begin : begin + PIECE_CHARS]):
                        if not await call.has_room():
                            return
                        handler.on_message(await self._encode(text))
                        await asyncio.sleep(0)
                    await asyncio.sleep(0)
                if not event.get("more_body") and not is_whole:
                    is_whole = True
                    if values.is_within:
                        raise FailedError(Code.INVALID_ARGUMENT, "the body ends within a request")
                    handler.on_half_close()
        except FailedError as failed:
            call.finish(failed.code, failed.text)
        except TooLong as error:
            call.finish(Code.RESOURCE_EXHAUSTED, str(error))
        except ValueError as error:  # BadJson, or no UTF-8
            call.finish(Code.INVALID_ARGUMENT, str(error))
        except Exception:
            logger.exception("a stream of the gateway failed")
            call.finish(Code.INTERNAL, "internal error")


async def _wait_long(
    handler: StreamHandler, call: JsonCall, message: bytes, receive: Receive
) -> bytes | JsonParts:
    """Answer a method that may take long; it is cancelled when the client goes away."""
    handler.on_message(message)
    tasks = Tasks()
    leaving = tasks.start(leave(receive))
    try:
        await asyncio.wait((call.outcome, leaving), return_when=asyncio.FIRST_COMPLETED)
        if call.outcome.done():
            return call.outcome.result()
        raise FailedError(Code.CANCELLED, "the client is gone")
    finally:
        if not call.outcome.done():
            handler.on_cancel()
        await tasks.close()


def _timeout_of(scope: Scope) -> float | None:
    """How long the client waits, by its `Grpc-Timeout`; None when it does not say, or 0.

    Raises:
        FailedError: it is malformed.

    """
    text = dict(scope["headers"]).get(b"grpc-timeout", b"").decode("latin-1")
    if not text:
        return None
    found = _TIMEOUT.fullmatch(text)
    if found is None:
        raise FailedError(Code.INVALID_ARGUMENT, f"invalid grpc-timeout: {text}")
    timeout_s = int(found[1]) * TIMEOUT_UNITS[found[2]]
    if timeout_s < 0:
        raise FailedError(*_LATE)
    return min(timeout_s, _TIMEOUT_S_MAX) or None


async def _send_whole(send: Send, status: int, body: bytes) -> None:
    headers = [*_JSON_HEAD, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_error(send: Send, code: int, text: str) -> None:
    said = {"error": text, "message": text, "code": code}
    await _send_whole(send, HTTP_STATUS.get(code, 500), json.dumps(said).encode())


def methods_of(
    paths: Mapping[str, str], schemas: Iterable[FileDescriptor]
) -> dict[str, MethodDescriptor]:
    """What is called by each of `paths`; see `make_routes`."""
    offered = {
        f"{schema.package}.{name}": service
        for schema in schemas
        for name, service in schema.services_by_name.items()
    }
    found = {}
    for path, full in paths.items():
        service, _, method = full.partition("/")
        found[path] = offered[service].methods_by_name[method]
    return found


def make_routes(
    services: Mapping[bytes, Route],
    paths: Mapping[str, str],
    schemas: Iterable[FileDescriptor],
    *,
    admission: Admission | None = None,
    bodies: Bodies | None = None,
    body_bytes_max: int,
    objects_max: int = OBJECTS_MAX,
    heartbeat_s: float = 0.0,
) -> dict[str, JsonMethod]:
    """All `paths` of the gateway, each to a method in `services` that is in one of `schemas`.

    In the result paths have their versions.  A method is the name of its service, with all that is
    before it, a slash and its own name.  Streams that say nothing for `heartbeat_s` send a newline;
    0 = never.
    """
    made: dict[str, JsonMethod] = {}
    for path, descriptor in methods_of(paths, schemas).items():
        name = f"/{paths[path]}".encode()
        app = JsonMethod(
            descriptor,
            services[name],
            path=name,
            admission=admission,
            bodies=bodies,
            body_bytes_max=body_bytes_max,
            objects_max=objects_max,
            heartbeat_s=heartbeat_s,
        )
        made |= dict.fromkeys((f"/{version}/{path}" for version in VERSIONS), app)
    return made
