"""Garbage: a bounded part of a turn, all of it when nobody waits or memory is short."""

import asyncio
import gc
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

import pytest
import uvloop
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from roost import aio
from roost.call import Route, Stream, StreamCall, Unary
from roost.etcd.v3.answering import Answering
from roost.etcd.v3.interface import JSON_PATHS
from roost.etcd.v3.long_reads import LongRead
from roost.exchange import TEXT, Answer, Reply, Request
from roost.member.pipeline import batch
from roost.proto import election_pb2, lock_pb2
from roost.proto import rpc_pb2 as pb
from roost.server import ClientPort, Listener, ServerConfig, make_app
from roost.server.admission import Admission
from roost.server.asgi import AsgiTaker
from roost.server.bodies import Bodies
from roost.server.calls import Call
from roost.server.direct import Direct, DirectExchange
from roost.server.garbage import EVERY_S, LATEST_S, MIDDLE, SHORT_EVERY_S, YOUNG, Garbage
from roost.server.grpc import GrpcProtocol
from roost.server.h2 import PREFACE, Connection
from roost.server.h2 import frames as f
from roost.server.http1 import Http1Protocol
from roost.server.http1_turn import Turn
from roost.server.json_calls import JsonCall
from roost.server.origins import Hosts, Origins
from roost.testing.patience import PATIENCE_S
from roost.testing.ports import free_ports
from tests.server.test_budgets import head_of
from tests.server.test_grpc import Source


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.fixture
def set_aside() -> None:
    """What other tests have left is looked at once, and not with each collection here."""
    gc.collect()
    gc.freeze()


class Cycle:
    """Is freed by the collector only."""

    def __init__(self) -> None:
        self.itself = self


class Member:
    """Its clock and its memory."""

    def __init__(self) -> None:
        self.now_s = 5.0
        self.is_short = False
        self.garbage = Garbage(lambda: self.is_short, lambda: self.now_s)
        self.garbage.begin()

    def looks_at_all(self, passed_s: float, *, is_idle: bool) -> bool:
        """Whether a cycle that is old is freed."""
        oldest: list[int] = []

        def note(phase: str, told: dict[str, int]) -> None:
            if phase == "stop" and told["generation"] == 2:
                oldest.append(told["collected"])

        cycle = Cycle()
        gc.collect(1)  # it is old now
        del cycle
        self.now_s += passed_s
        gc.callbacks.append(note)
        try:
            self.garbage.on_beat(is_idle)
        finally:
            gc.callbacks.remove(note)
        return bool(oldest and oldest[0] >= 1)


def test_all_is_looked_at_when_nobody_waits_and_not_often() -> None:
    member = Member()
    assert not member.looks_at_all(EVERY_S - 1, is_idle=True)
    assert not member.looks_at_all(1, is_idle=False)
    assert member.looks_at_all(1, is_idle=True)
    assert not member.looks_at_all(EVERY_S - 1, is_idle=True)


def test_a_loop_that_is_never_idle_is_held_for_it_once_an_hour() -> None:
    member = Member()
    assert not member.looks_at_all(LATEST_S - 1, is_idle=False)
    assert member.looks_at_all(1, is_idle=False)
    assert not member.looks_at_all(LATEST_S - 1, is_idle=False)


def test_where_memory_is_short_it_does_not_wait_for_an_idle_loop() -> None:
    member = Member()
    member.is_short = True
    assert not member.looks_at_all(SHORT_EVERY_S - 1, is_idle=False)
    assert member.looks_at_all(1, is_idle=False)
    assert not member.looks_at_all(1, is_idle=False)


def test_by_itself_the_collector_never_looks_at_all_or_at_many() -> None:
    """Issue 14: a million were looked at in one turn of 0.8 s, and the leader lost its office."""
    Member()
    looked: list[int] = []
    held: list[list[int]] = []
    seen = 0

    def note(phase: str, told: dict[str, int]) -> None:
        nonlocal seen
        if phase == "start":
            assert told["generation"] < 2
            looked.append(len(held) - seen if told["generation"] else 0)
            seen = len(held) if told["generation"] else seen

    gc.callbacks.append(note)
    try:
        held.extend([it] for it in range(10 * YOUNG * MIDDLE))
    finally:
        gc.callbacks.remove(note)
    assert len(looked) > 5 * MIDDLE
    assert 0 < max(looked) <= YOUNG * (MIDDLE + 3)


class Chat:
    """Says what it hears."""

    def __init__(self, call: StreamCall) -> None:
        self._call = call

    def on_message(self, message: bytes) -> None:
        self._call.send(message)

    def on_half_close(self) -> None:
        self._call.finish(0, "")

    def on_cancel(self) -> None:
        """Nothing is kept."""


def answer(request: Request, reply: Reply) -> None:
    """To `/never` nobody says anything: its client goes before."""
    if request.raw_path == b"/v2/never":
        assert request.waiting is not None
        request.waiting.hear_gone(lambda: request)
    else:
        reply(Answer(200, b"a", (TEXT,)))


ROUTES: dict[bytes, Route] = {
    b"/t/Echo": Unary(lambda call, message: call.reply(message)),
    b"/t/Never": Unary(lambda _call, _message: None),
    b"/t/Chat": Stream(Chat),
}


def grpc_call(stream_id: int, path: bytes, body: bytes = b"x", *, ends: bool = True) -> bytes:
    data = b"\0" + len(body).to_bytes(4, "big") + body
    return f.frame(f.HEADERS, f.END_HEADERS, stream_id, head_of(path)) + f.frame(
        f.DATA, f.END_STREAM if ends else 0, stream_id, data
    )


HTTP2 = PREFACE + f.settings({})
GET = b"GET %b HTTP/1.1\r\nhost: a\r\n\r\n"
CLIENTS = {
    "calls": HTTP2 + grpc_call(1, b"/t/Echo") + grpc_call(3, b"/t/Echo"),
    "a call without an answer": HTTP2 + grpc_call(1, b"/t/Never"),
    "a call that does not exist": HTTP2 + grpc_call(1, b"/t/None"),
    "a stream": HTTP2 + grpc_call(1, b"/t/Chat", ends=False),
    "a stream that has ended": HTTP2 + grpc_call(1, b"/t/Chat"),
    "a request in parts": HTTP2 + grpc_call(1, b"/t/Echo", ends=False),
    "what is no HTTP/2": PREFACE + bytes(100),
    "requests": (GET % b"/v2/a") * 2,
    "a request that is the last": b"GET /v2/a HTTP/1.0\r\n\r\n",
    "requests for a page": (GET % b"/version") * 2,
    "a request without an answer": GET % b"/v2/never",
    "a request that does not end": b"PUT /v2/a HTTP/1.1\r\ncontent-length: 9\r\n\r\na",
    "what is no HTTP": b"nothing\r\n\r\n",
}


@pytest.mark.usefixtures("set_aside")
def test_a_connection_that_has_ended_leaves_nothing_to_be_collected() -> None:
    """Under all rows of `roost.testing.pressure` a member kept 2 GiB of such (2026-11-27)."""
    for name, said in CLIENTS.items():
        assert uvloop.run(asyncio.wait_for(left_by(said), PATIENCE_S)) == {}, name


async def left_by(said: bytes) -> dict[str, int]:
    """What is left when a client has said it, was answered, and is gone."""
    direct = Direct(
        answer,
        admission=Admission(),
        bodies=Bodies(1 << 20),
        body_bytes_max=1 << 10,
        origins=Origins(()),
        hosts=Hosts(("*",)),
    )
    port = ClientPort(
        routes=ROUTES,
        app=make_app(Source(), server_version="3.5.1"),
        config=ServerConfig(),
        direct={b"/v2/": direct},
    )
    [(host, number)] = await port.start([Listener(("127.0.0.1", 0))])
    loop = asyncio.get_running_loop()

    async def come_and_go() -> None:
        with socket.socket() as client:
            client.setblocking(False)
            await loop.sock_connect(client, (host, number))
            await loop.sock_sendall(client, said)
            if not said.endswith((b"never HTTP/1.1\r\nhost: a\r\n\r\n", b"\r\na")):
                assert await loop.sock_recv(client, 1 << 16)
        while port.connection_count or port.undecided:
            await asyncio.sleep(0)

    try:
        await come_and_go()  # what is made once
        gc.collect()
        return await kinds_left(come_and_go)
    finally:
        await port.close(0)


async def kinds_left(act: Callable[[], Awaitable[None]]) -> dict[str, int]:
    """Of what kinds of ours the collector finds how many, after it was done three times."""
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(3):
            await act()
        gc.collect()
        left = Counter(f"{type(it).__module__}.{type(it).__qualname__}" for it in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    return {name: count for name, count in left.items() if name.startswith(("roost.", "tests."))}


# Beside a call of each kind that asks for nothing.
ASKED: tuple[tuple[str, Message], ...] = (
    ("kv/put", pb.PutRequest(key=b"a", value=b"b")),
    ("kv/range", pb.RangeRequest(key=b"a")),
    ("kv/range", pb.RangeRequest(key=b"a", serializable=True)),
    ("kv/range", pb.RangeRequest(key=b"\0", range_end=b"\0", sort_target=pb.RangeRequest.VALUE)),
    ("kv/range", pb.RangeRequest(key=b"a", range_end=b"b", revision=99)),
    ("kv/txn", pb.TxnRequest(success=[pb.RequestOp(request_range=pb.RangeRequest(key=b"a"))])),
    ("kv/txn", pb.TxnRequest(success=[pb.RequestOp(request_put=pb.PutRequest(key=b"c"))])),
    ("kv/deleterange", pb.DeleteRangeRequest(key=b"c")),
    ("lease/grant", pb.LeaseGrantRequest(ID=7, TTL=60)),
    ("lease/keepalive", pb.LeaseKeepAliveRequest(ID=7)),
    ("auth/authenticate", pb.AuthenticateRequest(name="a", password="b")),
    ("lock/lock", lock_pb2.LockRequest(name=b"line", lease=7)),
    ("lock/lock", lock_pb2.LockRequest(name=b"line")),
    ("election/campaign", election_pb2.CampaignRequest(name=b"line/line", value=b"a")),
    ("election/observe", election_pb2.LeaderRequest(name=b"line/line")),
    ("watch", pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"a"))),
)
# Those may have no end: their client goes.
LEFT = ("watch", "lock/lock", "election/campaign", "election/observe")
# What requests and connections are made of.
KINDS = (
    *(GrpcProtocol, Http1Protocol, Turn, Connection, Call, AsgiTaker, DirectExchange),
    *(batch.Request, LongRead, Answering, JsonCall),
)


def as_grpc(path: str, message: Message, *, ends: bool = True) -> bytes:
    name = b"/" + JSON_PATHS[path].encode()
    return HTTP2 + grpc_call(1, name, message.SerializeToString(), ends=ends)


def as_json(path: str, message: Message) -> bytes:
    body = MessageToJson(message).encode()
    said = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d" % len(body)
    return b"POST /v3/%b HTTP/1.1\r\nhost: a\r\n%b\r\n\r\n%b" % (path.encode(), said, body)


async def ask(port: int, said: bytes, until: bytes) -> None:
    """Say it, and go when that was heard."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    heard = b""
    while until not in heard:
        piece = await reader.read(1 << 16)
        assert piece, f"{said!r} was answered {heard!r}"
        heard += piece
    writer.close()
    await writer.wait_closed()


@pytest.mark.usefixtures("set_aside")
def test_calls_of_etcd_leave_nothing_to_be_collected() -> None:
    """So many objects were, of locks that were given up, of long reads and of batches of puts.

    Half a million after a minute of all rows of `roost.testing.pressure` (2026-11-27).
    """
    left: Counter[str] = Counter()

    def there_are() -> Counter[str]:
        return Counter(type(it).__qualname__ for it in gc.get_objects() if isinstance(it, KINDS))

    async def story() -> None:
        [port] = free_ports(1)
        async with await aio.open(None) as db:
            await db.serve([f"http://127.0.0.1:{port}"])
            gc.collect()
            before = there_are()
            gc.disable()
            for path, message in (*((it, Empty()) for it in JSON_PATHS), *ASKED):
                has_end = path not in LEFT
                said = as_grpc(path, message, ends=has_end)
                await ask(port, said, b"grpc-status" if has_end else b"")
                await ask(port, as_json(path, message), b"\r\n\r\n" if has_end else b"")
            left.update("anything")
            while left:
                left.clear()
                left.update(there_are() - before)
                await asyncio.sleep(0)

    try:
        with suppress(TimeoutError):
            uvloop.run(asyncio.wait_for(story(), PATIENCE_S))
    finally:
        gc.enable()
    assert left == {}
