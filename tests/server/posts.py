"""Clients that post to the JSON gateway, and a service behind it: no sockets."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from google.protobuf.message import Message
from starlette.types import Message as Event

from roost.call import Call, Stream, StreamCall, StreamHandler, Unary
from roost.proto import lock_pb2
from roost.proto import rpc_pb2 as pb
from roost.server.gateway import JsonMethod
from roost.sim.members.loop import run_virtually, until_idle

BODY_BYTES_MAX = 1000
PUT = pb.DESCRIPTOR.services_by_name["KV"].methods_by_name["Put"]
WATCH = pb.DESCRIPTOR.services_by_name["Watch"].methods_by_name["Watch"]
LOCK = lock_pb2.DESCRIPTOR.services_by_name["Lock"].methods_by_name["Lock"]
Headers = Mapping[bytes, bytes]


class Client:
    """Posts to one method; keeps what it is told."""

    def __init__(self, app: JsonMethod, headers: Headers | None = None) -> None:
        self._app = app
        self._headers = list((headers or {}).items())
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self.status = 0
        self.body = b""
        self.is_answered = False
        # Its connection is, as `http1` says it.
        self.is_gone = False

    def post(self, body: bytes, *, is_last: bool = True) -> None:
        self._events.put_nowait({"type": "http.request", "body": body, "more_body": not is_last})

    def leave(self) -> None:
        self._events.put_nowait({"type": "http.disconnect"})

    async def _take(self, event: Event) -> None:
        if event["type"] == "http.response.start":
            self.status = event["status"]
        else:
            self.body += event["body"]
            self.is_answered = not event.get("more_body", False)

    async def talk(self) -> None:
        scope: dict[str, Any] = {"type": "http", "state": {"connection": self}}
        scope |= {"headers": self._headers, "client": ("10.0.0.9", 4711)}
        scope |= {"method": "POST", "raw_path": b"/v3/test"}
        await self._app(scope, self._events.get, self._take)

    def answer(self) -> tuple[int, dict[str, Any]]:
        assert self.is_answered
        return self.status, json.loads(self.body)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.body.splitlines()]


class Handler:
    """A stream's server: writes down what it hears."""

    def __init__(self, hears: Callable[[bytes], None] = lambda _message: None) -> None:
        self.hears = hears
        self.messages: list[bytes] = []
        self.news: list[str] = []

    def on_message(self, message: bytes) -> None:
        self.messages.append(message)
        self.hears(message)

    def on_half_close(self) -> None:
        self.news.append("half close")

    def on_cancel(self) -> None:
        self.news.append("cancel")


class Service:
    """A route that keeps the calls it got, and what they were sent."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.streams: list[StreamCall] = []
        self.messages: list[bytes] = []
        self.handler = Handler()

    def handle(self, call: Call, message: bytes) -> None:
        self.calls.append(call)
        self.messages.append(message)

    def open(self, call: StreamCall) -> StreamHandler:
        self.streams.append(call)
        return self.handler


def put_method(handle: Callable[[Call, bytes], None]) -> JsonMethod:
    return JsonMethod(PUT, Unary(handle), body_bytes_max=BODY_BYTES_MAX)


def watch_method(service: Service, heartbeat_s: float = 0.0) -> JsonMethod:
    return JsonMethod(
        WATCH, Stream(service.open), body_bytes_max=BODY_BYTES_MAX, heartbeat_s=heartbeat_s
    )


def beside(work: Callable[[Client], Coroutine[None, None, None]], client: Client) -> None:
    """Let a client talk while `work` goes on; the talk must end by itself."""

    async def story() -> None:
        async with asyncio.timeout(10_000), asyncio.TaskGroup() as group:
            group.create_task(client.talk())
            await until_idle()
            await work(client)

    run_virtually(story())


def message_bytes(message: Message) -> bytes:
    return message.SerializeToString()
