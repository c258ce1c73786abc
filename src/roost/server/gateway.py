"""The JSON gateway: etcd's gRPC methods as HTTP posts (etcd: the http annotations of rpc.proto).

A post to `/v3/kv/put` has the request as JSON, bytes in base64, and gets the answer as JSON:
names as in the schema, 64-bit numbers as strings, defaults left out.  A stream answers
`{"result": ...}` a line, for as long as it lasts; requests may follow each other in the body.
`/v3beta/` and `/v3alpha/` are older names of `/v3/`.  Nothing is ever changed by a GET.

Full?  A body is at most `body_bytes_max`; a stream whose client does not read is not written to
(`pending_bytes`), its service decides what then.
"""

import asyncio
import codecs
import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Protocol

from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from roost.proto import election_pb2, lock_pb2, rpc_pb2
from roost.server.grpc import TIMEOUT_UNITS
from roost.server.json_request import BadJson, build, read_first, read_whole
from roost.tasks import Tasks

logger = logging.getLogger(__name__)
VERSIONS = ("v3", "v3beta", "v3alpha")
# Path behind the version -> service and method.
PATHS: Mapping[str, str] = {
    "kv/range": "etcdserverpb.KV/Range",
    "kv/put": "etcdserverpb.KV/Put",
    "kv/deleterange": "etcdserverpb.KV/DeleteRange",
    "kv/txn": "etcdserverpb.KV/Txn",
    "kv/compaction": "etcdserverpb.KV/Compact",
    "watch": "etcdserverpb.Watch/Watch",
    "lease/grant": "etcdserverpb.Lease/LeaseGrant",
    "lease/revoke": "etcdserverpb.Lease/LeaseRevoke",
    "kv/lease/revoke": "etcdserverpb.Lease/LeaseRevoke",
    "lease/keepalive": "etcdserverpb.Lease/LeaseKeepAlive",
    "lease/timetolive": "etcdserverpb.Lease/LeaseTimeToLive",
    "kv/lease/timetolive": "etcdserverpb.Lease/LeaseTimeToLive",
    "lease/leases": "etcdserverpb.Lease/LeaseLeases",
    "kv/lease/leases": "etcdserverpb.Lease/LeaseLeases",
    "cluster/member/add": "etcdserverpb.Cluster/MemberAdd",
    "cluster/member/remove": "etcdserverpb.Cluster/MemberRemove",
    "cluster/member/update": "etcdserverpb.Cluster/MemberUpdate",
    "cluster/member/list": "etcdserverpb.Cluster/MemberList",
    "cluster/member/promote": "etcdserverpb.Cluster/MemberPromote",
    "maintenance/alarm": "etcdserverpb.Maintenance/Alarm",
    "maintenance/status": "etcdserverpb.Maintenance/Status",
    "maintenance/defragment": "etcdserverpb.Maintenance/Defragment",
    "maintenance/hash": "etcdserverpb.Maintenance/HashKV",
    "maintenance/snapshot": "etcdserverpb.Maintenance/Snapshot",
    "maintenance/transfer-leadership": "etcdserverpb.Maintenance/MoveLeader",
    "maintenance/downgrade": "etcdserverpb.Maintenance/Downgrade",
    "auth/enable": "etcdserverpb.Auth/AuthEnable",
    "auth/disable": "etcdserverpb.Auth/AuthDisable",
    "auth/status": "etcdserverpb.Auth/AuthStatus",
    "auth/authenticate": "etcdserverpb.Auth/Authenticate",
    "auth/user/add": "etcdserverpb.Auth/UserAdd",
    "auth/user/get": "etcdserverpb.Auth/UserGet",
    "auth/user/list": "etcdserverpb.Auth/UserList",
    "auth/user/delete": "etcdserverpb.Auth/UserDelete",
    "auth/user/changepw": "etcdserverpb.Auth/UserChangePassword",
    "auth/user/grant": "etcdserverpb.Auth/UserGrantRole",
    "auth/user/revoke": "etcdserverpb.Auth/UserRevokeRole",
    "auth/role/add": "etcdserverpb.Auth/RoleAdd",
    "auth/role/get": "etcdserverpb.Auth/RoleGet",
    "auth/role/list": "etcdserverpb.Auth/RoleList",
    "auth/role/delete": "etcdserverpb.Auth/RoleDelete",
    "auth/role/grant": "etcdserverpb.Auth/RoleGrantPermission",
    "auth/role/revoke": "etcdserverpb.Auth/RoleRevokePermission",
    "lock/lock": "v3lockpb.Lock/Lock",
    "lock/unlock": "v3lockpb.Lock/Unlock",
    "election/campaign": "v3electionpb.Election/Campaign",
    "election/proclaim": "v3electionpb.Election/Proclaim",
    "election/leader": "v3electionpb.Election/Leader",
    "election/observe": "v3electionpb.Election/Observe",
    "election/resign": "v3electionpb.Election/Resign",
}
_FILES = {"etcdserverpb": rpc_pb2, "v3lockpb": lock_pb2, "v3electionpb": election_pb2}
# gRPC status -> HTTP status (grpc-gateway v1: HTTPStatusFromCode); anything else is 500.
_STATUS = {
    0: 200,
    1: 408,
    3: 400,
    4: 504,
    5: 404,
    6: 409,
    7: 403,
    8: 429,
    9: 400,
    10: 409,
    11: 400,
    12: 501,
    14: 503,
    16: 401,
}
_CANCELLED, _INVALID_ARGUMENT, _RESOURCE_EXHAUSTED, _INTERNAL = 1, 3, 8, 13
_LATE = (4, "context deadline exceeded")
_TIMEOUT = re.compile(r"([+-]?[0-9]{1,18})([HMSmun])")
# A longer timeout is none that anybody waits for.
_TIMEOUT_S_MAX = 10 * 365 * 86400.0
_JSON_HEAD = [(b"content-type", b"application/json")]


class GrpcRoute(Protocol):
    """A method of the services: it has `handle`, or `open` when it may take long."""


class JsonCall:
    """A unary call, or one that answers once: its outcome is a future."""

    on_drain: Callable[[], None] | None = None
    pending_bytes = 0

    def __init__(self, token: str, address: str) -> None:
        """Nothing has come yet."""
        self.token = token
        self.address = address
        # A proxy's certificate must not make its clients somebody (CVE-2018-16886).
        self.certificate_name = ""
        self.outcome: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def reply(self, message: bytes) -> None:
        """Answer."""
        if not self.outcome.done():
            self.outcome.set_result(message)

    def fail(self, code: int, text: str) -> None:
        """Answer with a status."""
        if not self.outcome.done():
            self.outcome.set_exception(_FailedError(code, text))

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


class _FailedError(Exception):
    """A call was answered with a gRPC status."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class JsonStream:
    """A stream: messages wait here until the client has taken those before."""

    def __init__(self, token: str, address: str, kind: type[Message]) -> None:
        """`kind` is that of the answers."""
        self.token = token
        self.address = address
        self.certificate_name = ""
        self.on_drain: Callable[[], None] | None = None
        self.pending_bytes = 0
        self._kind = kind
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.first_status = 200
        self._is_begun = self._is_over = False

    def send(self, message: bytes) -> None:
        """Queue an answer."""
        self._put({"result": _to_json(self._kind.FromString(message))})

    def send_all(self, messages: Sequence[bytes]) -> None:
        """Queue answers."""
        for message in messages:
            self.send(message)

    def finish(self, code: int, text: str) -> None:
        """End the stream; an error is its last line."""
        if self._is_over:
            return
        if code:
            status = _STATUS.get(code, 500)
            if not self._is_begun:
                self.first_status = status
            said = {"grpc_code": code, "http_code": status, "message": text}
            self._put({"error": {**said, "http_status": HTTPStatus(status).phrase}})
        self._is_over = True
        self._lines.put_nowait(None)

    def _put(self, row: dict[str, Any]) -> None:
        if self._is_over:
            return
        self._is_begun = True
        line = json.dumps(row, separators=(",", ":")).encode() + b"\n"
        self.pending_bytes += len(line)
        self._lines.put_nowait(line)

    async def next_line(self) -> bytes | None:
        """The next line; None at the end."""
        line = await self._lines.get()
        if line is not None:
            self.pending_bytes -= len(line)
            if not self.pending_bytes and self.on_drain is not None:
                self.on_drain()
        return line


def _to_json(message: Message) -> dict[str, Any]:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


class JsonMethod:
    """One method, as an ASGI application of its own."""

    def __init__(
        self, descriptor: MethodDescriptor, route: GrpcRoute, *, body_bytes_max: int
    ) -> None:
        """Answer posts by what `route` does."""
        self._route: Any = route
        self._request: type[Message] = GetMessageClass(descriptor.input_type)
        self._response: type[Message] = GetMessageClass(descriptor.output_type)
        self._streams = descriptor.server_streaming
        self._body_bytes_max = body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            if self._streams:
                await self._stream(scope, receive, send)
            else:
                await self._unary(scope, receive, send)
        except _FailedError as failed:
            await _send_error(send, failed.code, failed.text)

    def _encode(self, value: object) -> bytes:
        """The bytes of the request that a JSON value says.

        Raises:
            _FailedError: it is no such request.

        """
        try:
            return build(self._request, value).SerializeToString()
        except BadJson as error:
            raise _FailedError(_INVALID_ARGUMENT, str(error)) from error

    async def _unary(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                return
            body += event.get("body", b"")
            if len(body) > self._body_bytes_max:
                text = f"request body is larger than {self._body_bytes_max} bytes"
                raise _FailedError(_RESOURCE_EXHAUSTED, text)
            if not event.get("more_body"):
                break
        try:
            message = self._encode(read_whole(body.decode() or "{}"))
        except ValueError as error:  # BadJson, or no UTF-8
            raise _FailedError(_INVALID_ARGUMENT, str(error)) from error
        call = JsonCall(_token_of(scope), _address_of(scope))
        timeout_s = _timeout_of(scope)
        try:
            async with asyncio.timeout(timeout_s):
                if hasattr(self._route, "handle"):
                    self._route.handle(call, message)
                    answer = await call.outcome
                else:
                    answer = await self._wait_long(call, message, receive)
        except TimeoutError:
            raise _FailedError(*_LATE) from None
        said = json.dumps(_to_json(self._response.FromString(answer)), separators=(",", ":"))
        await _send_whole(send, 200, said.encode())

    async def _wait_long(self, call: JsonCall, message: bytes, receive: Receive) -> bytes:
        """Answer a method that may take long; it is cancelled when the client goes away."""
        handler = self._route.open(call)
        handler.on_message(message)
        tasks = Tasks()
        leaving = tasks.start(_leave(receive))
        try:
            await asyncio.wait((call.outcome, leaving), return_when=asyncio.FIRST_COMPLETED)
            if call.outcome.done():
                return call.outcome.result()
            raise _FailedError(_CANCELLED, "the client is gone")
        finally:
            if not call.outcome.done():
                handler.on_cancel()
            await tasks.close()

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        timeout_s = _timeout_of(scope)
        call = JsonStream(_token_of(scope), _address_of(scope), self._response)
        handler = self._route.open(call)
        tasks = Tasks()
        tasks.start(self._read(handler, call, receive))
        late = None
        if timeout_s is not None:
            late = asyncio.get_running_loop().call_later(timeout_s, call.finish, *_LATE)
        try:
            line = await call.next_line()
            # What fails before anything was said has its status in the head, as etcd's.
            head = {"type": "http.response.start", "status": call.first_status}
            await send({**head, "headers": _JSON_HEAD})
            while line is not None:
                await send({"type": "http.response.body", "body": line, "more_body": True})
                line = await call.next_line()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            if late is not None:
                late.cancel()
            handler.on_cancel()
            await tasks.close()

    async def _read(self, handler: Any, call: JsonStream, receive: Receive) -> None:
        """Hand every request in the body on as soon as it is whole."""
        text, is_whole = "", False
        utf8 = codecs.getincrementaldecoder("utf-8")()
        try:
            while True:
                event = await receive()
                if event["type"] == "http.disconnect":
                    call.finish(0, "")
                    return
                text += utf8.decode(event.get("body", b""), not event.get("more_body"))
                if len(text) > self._body_bytes_max:
                    raise _FailedError(_RESOURCE_EXHAUSTED, "a request is too large")
                while text := text.lstrip():
                    found = read_first(text)
                    if found is None:
                        break  # the rest has yet to come
                    value, end = found
                    handler.on_message(self._encode(value))
                    text = text[end:]
                if not event.get("more_body") and not is_whole:
                    is_whole = True
                    if text:
                        raise _FailedError(_INVALID_ARGUMENT, "the body ends within a request")
                    handler.on_half_close()
        except _FailedError as failed:
            call.finish(failed.code, failed.text)
        except ValueError as error:  # BadJson, or no UTF-8
            call.finish(_INVALID_ARGUMENT, str(error))
        except Exception:
            logger.exception("a stream of the gateway failed")
            call.finish(_INTERNAL, "internal error")


async def _leave(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _token_of(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name in (b"authorization", b"grpc-metadata-token"):
            return str(value.decode("latin-1")).removeprefix("Bearer ")
    return ""


def _timeout_of(scope: Scope) -> float | None:
    """How long the client waits, by its `Grpc-Timeout`; None when it does not say, or 0.

    Raises:
        _FailedError: it is malformed.

    """
    text = dict(scope["headers"]).get(b"grpc-timeout", b"").decode("latin-1")
    if not text:
        return None
    found = _TIMEOUT.fullmatch(text)
    if found is None:
        raise _FailedError(_INVALID_ARGUMENT, f"invalid grpc-timeout: {text}")
    timeout_s = int(found[1]) * TIMEOUT_UNITS[found[2]]
    if timeout_s < 0:
        raise _FailedError(*_LATE)
    return min(timeout_s, _TIMEOUT_S_MAX) or None


def _address_of(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


async def _send_whole(send: Send, status: int, body: bytes) -> None:
    headers = [*_JSON_HEAD, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_error(send: Send, code: int, text: str) -> None:
    said = {"error": text, "message": text, "code": code}
    await _send_whole(send, _STATUS.get(code, 500), json.dumps(said).encode())


def make_routes(services: Mapping[bytes, GrpcRoute], *, body_bytes_max: int) -> list[Route]:
    """All paths of the gateway, over the methods in `services`."""
    made: list[Route] = []
    for path, full in PATHS.items():
        service, _, method = full.partition("/")
        package, _, name = service.rpartition(".")
        descriptor = _FILES[package].DESCRIPTOR.services_by_name[name].methods_by_name[method]
        route = services[f"/{full}".encode()]
        app = JsonMethod(descriptor, route, body_bytes_max=body_bytes_max)
        made += [Route(f"/{version}/{path}", app, methods=["POST"]) for version in VERSIONS]
    return made
