"""The client port's rules: who is let in, what first bytes decide, and for how long it waits."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import cast

import pytest
import uvloop
from starlette.types import Receive, Scope, Send

from roost.call import Call, Route, Stream, StreamCall, StreamHandler, Unary
from roost.server import ClientPort, Listener, ServerConfig
from roost.server.accepting import Acceptor, Counted
from roost.server.grpc import GrpcProtocol
from roost.server.h2 import PREFACE
from roost.server.h2 import frames as f
from roost.server.h2.hpack import encode_literal
from roost.server.port import AROUND_BYTES, FIRST_BYTES_S, SniffingProtocol
from roost.settings import DEFAULTS
from roost.sim.members.loop import pass_time, run_virtually, until_idle
from roost.tasks import Tasks
from roost.tls import Certificate

PLACE = ("127.0.0.1", 2379)


async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise NotImplementedError


class Ear(asyncio.Protocol):
    """Keeps what a protocol behind the port is told."""

    def __init__(self) -> None:
        self.transport: asyncio.BaseTransport | None = None
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data


class Port(ClientPort):
    """A port behind which nobody speaks; `heard` has who was asked to, by protocol."""

    def __init__(self, config: ServerConfig | None = None) -> None:
        super().__init__(routes={}, app=app, config=config or ServerConfig())
        self.heard: dict[str, Ear] = {}

    def make_grpc(self) -> asyncio.Protocol:
        return self.heard.setdefault("grpc", Ear())

    def make_http(self) -> asyncio.Protocol:
        return self.heard.setdefault("http", Ear())


class Socket:
    """Keeps its options."""

    def __init__(self, family: int = socket.AF_INET) -> None:
        self.family = family
        self.options: dict[tuple[int, int], int] = {}

    def setsockopt(self, level: int, option: int, value: int) -> None:
        self.options[level, option] = value


class Wire(asyncio.Transport):
    """A connection that is there as long as nobody ends it."""

    def __init__(self, sock: Socket | None = None) -> None:
        super().__init__({"socket": sock or Socket(), "peercert": None})
        self.protocol: object = None
        self.written = b""
        self.is_open = True

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return not self.is_open

    def abort(self) -> None:
        self.is_open = False

    def close(self) -> None:
        if self.is_open and isinstance(self.protocol, GrpcProtocol):
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)
        self.is_open = False


def connect(
    port: Port, listener: Listener | None = None, wire: Wire | None = None
) -> tuple[SniffingProtocol, Wire]:
    protocol, wire = SniffingProtocol(port, listener or Listener(PLACE)), wire or Wire()
    protocol.connection_made(wire)
    return protocol, wire


def test_a_message_may_be_as_large_as_a_request_and_what_goes_around_it() -> None:
    """etcd: maxRequestBytes + grpcOverheadBytes."""
    assert ServerConfig().message_bytes_max == DEFAULTS.max_request_bytes + AROUND_BYTES
    assert AROUND_BYTES == 512 * 1024


def test_one_connection_more_than_are_served_is_not_until_another_is_gone() -> None:
    port = Port(ServerConfig(connections_max=2))
    assert [port.admit() for _ in range(2)] == ["", ""]
    for _ in range(2):  # refusing counts nobody
        assert port.admit() == "2 are served (--max-connections)"
    port.on_gone()
    assert port.admit() == ""
    assert port.admit() != ""


@pytest.mark.parametrize(
    ("sent", "speaker"),
    [
        (PREFACE + b"frames", "grpc"),
        (PREFACE, "grpc"),
        (b"GET / HTTP/1.1\r\n", "http"),
        (b"PRI * HTTP/1.1\r\n", "http"),
        (PREFACE[:-1] + b"x", "http"),
        (b"\x16\x03\x01", "http"),
    ],
)
def test_the_first_bytes_decide_who_speaks_wherever_they_are_cut(sent: bytes, speaker: str) -> None:
    async def story() -> None:
        for parts in [[sent]] + [[sent[:at], sent[at:]] for at in range(1, len(sent))]:
            port = Port()
            protocol, wire = connect(port)
            for part in parts:
                receiver = wire.protocol or protocol
                assert isinstance(receiver, asyncio.Protocol)
                receiver.data_received(part)
            [(name, ear)] = port.heard.items()
            assert (name, ear.data, wire.protocol) == (speaker, sent, ear)
            assert ear.transport is wire

    run_virtually(story())


def test_what_is_not_decided_yet_goes_to_nobody() -> None:
    async def story() -> None:
        port = Port()
        protocol, wire = connect(port)
        for at in range(len(PREFACE) - 1):
            protocol.data_received(PREFACE[at : at + 1])
            assert (port.heard, wire.protocol) == ({}, None)
        await pass_time(FIRST_BYTES_S + 0.01)
        assert not wire.is_open, "a byte now and then keeps nothing open"

    run_virtually(story())


def test_who_says_nothing_is_closed_and_who_has_spoken_is_not() -> None:
    async def story() -> None:
        (_, silent), (speaker, spoken) = connect(Port()), connect(Port())
        await pass_time(FIRST_BYTES_S - 0.01)
        assert silent.is_open
        speaker.data_received(b"GET")
        await pass_time(0.02)
        assert (silent.is_open, spoken.is_open) == (False, True)

    run_virtually(story())


def test_who_leaves_before_saying_anything_is_not_counted_any_more() -> None:
    async def story() -> None:
        port = Port()
        port.admit()
        protocol, wire = connect(port)
        protocol.connection_lost(None)
        assert port.connection_count == 0
        await pass_time(FIRST_BYTES_S + 0.01)
        assert wire.is_open, "its timer is gone with it"

    run_virtually(story())


def test_whose_certificate_is_refused_is_closed_before_a_byte_is_read() -> None:
    asked: list[Certificate | None] = []

    def refuse(certificate: Certificate | None) -> str:
        asked.append(certificate)
        return "it is on the list"

    async def story() -> None:

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _, wire = connect(Port(), Listener(PLACE, context, refuse))
        assert (wire.is_open, asked) == (False, [None])
        _, clear = connect(Port(), Listener(PLACE, refusal=refuse))
        assert (clear.is_open, len(asked)) == (True, 1), "nobody shows one in the clear"

    run_virtually(story())


def test_the_kernel_is_asked_to_notice_clients_that_are_gone() -> None:
    async def story() -> None:
        network, local = Wire(), Wire(Socket(socket.AF_UNIX))
        config = ServerConfig(keepalive_s=7200, keepalive_timeout_s=20)
        for wire in (network, local):
            connect(Port(config), wire=wire)
        options = network.get_extra_info("socket").options
        assert options == {
            (socket.IPPROTO_TCP, socket.TCP_NODELAY): 1,
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE): 1,
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE): 7200,
            (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL): 5,
            (socket.IPPROTO_TCP, socket.TCP_KEEPCNT): 4,
        }
        assert local.get_extra_info("socket").options == {}

    run_virtually(story())


class Watcher:
    """Opens streams that last."""

    def __init__(self) -> None:
        self.calls: list[StreamCall] = []
        self.cancelled = 0

    def open(self, call: StreamCall) -> StreamHandler:
        self.calls.append(call)
        return self

    def on_message(self, message: bytes) -> None: ...

    def on_half_close(self) -> None: ...

    def on_cancel(self) -> None:
        self.cancelled += 1


def head(path: bytes) -> bytes:
    fields = ((b":method", b"POST"), (b":path", path), (b"content-type", b"application/grpc"))
    return b"".join(encode_literal(*it) for it in fields)


def closing(story: Callable[[ClientPort, Wire, list[Call], Watcher], Awaitable[None]]) -> None:
    """Tell how a port closes whose one connection has a call and a stream open."""
    calls: list[Call] = []
    watcher = Watcher()
    routes: dict[bytes, Route] = {
        b"/t.S/Call": Unary(lambda call, _message: calls.append(call)),
        b"/t.S/Watch": Stream(watcher.open),
    }

    async def main() -> None:
        port = ClientPort(routes=routes, app=app, config=ServerConfig())
        port.admit()
        wire = Wire()
        protocol = SniffingProtocol(port, Listener(PLACE))
        protocol.connection_made(wire)
        request = f.frame(f.DATA, f.END_STREAM, 1, b"\0\0\0\0\0")
        protocol.data_received(
            PREFACE
            + f.frame(f.HEADERS, f.END_HEADERS, 1, head(b"/t.S/Call"))
            + request
            + f.frame(f.HEADERS, f.END_HEADERS, 3, head(b"/t.S/Watch"))
        )
        await until_idle()
        assert (len(calls), len(watcher.calls)) == (1, 1)
        await story(port, wire, calls, watcher)
        assert not wire.is_open
        await until_idle()
        assert port.connection_count == 0

    run_virtually(main())


def test_streams_end_at_once_when_the_port_closes_and_calls_have_their_grace() -> None:
    async def story(port: ClientPort, wire: Wire, calls: list[Call], watcher: Watcher) -> None:
        async with asyncio.TaskGroup() as group:
            closed = group.create_task(port.close(5))
            await pass_time(4)
            assert b"server stopped" in wire.written
            assert wire.is_open, "a call is still open"
            assert not closed.done()
            calls[0].reply(b"the answer")
            await pass_time(0.1)
            assert b"the answer" in wire.written
            assert closed.done()
        assert watcher.cancelled == 1

    closing(story)


def test_a_call_that_outlasts_its_grace_keeps_no_port_open() -> None:
    async def story(port: ClientPort, _wire: Wire, _calls: list[Call], _: Watcher) -> None:
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        await port.close(5)
        assert 5 <= loop.time() - begun_s < 5.5

    closing(story)


class Answering(Counted):
    """Is told to stop in the very turn in which its connection is made."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self.made = asyncio.Event()
        self.lost = asyncio.Event()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.is_made, self.transport = True, cast("asyncio.Transport", transport)
        self._tasks.cancel()
        self.made.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_stop_closes_no_connection_behind_its_protocols_back(run: Callable[..., None]) -> None:
    """Uvloop did, when the stop came in the turn in which it was made; who answered met that."""

    async def story() -> None:
        tasks = Tasks()
        protocol = Answering(tasks)
        failed: list[None] = []
        acceptor = Acceptor(
            socket.create_server(("127.0.0.1", 0)),
            make=lambda: protocol,
            admit=str,
            on_failed=lambda: failed.append(None),
            tasks=tasks,
            context=None,
            handshake_s=None,
        )
        with socket.create_connection(acceptor.door.sock.getsockname()[:2]) as client:
            client.setblocking(False)
            await protocol.made.wait()
            await tasks.close()
            protocol.transport.write(b"answer")
            assert await asyncio.get_running_loop().sock_recv(client, 100) == b"answer"
            protocol.transport.abort()
            await protocol.lost.wait()
        acceptor.door.close()
        assert failed == [], "it was made, and its end is its own to tell"

    run(story())


def test_when_a_port_has_closed_no_connection_is_left_that_never_spoke() -> None:
    """Its loop may end in the next turn, and with it whoever was to close the socket."""

    async def story() -> None:
        port = ClientPort(routes={}, app=app, config=ServerConfig())
        sock = socket.create_server(("127.0.0.1", 0))
        (address,) = await port.start([Listener(PLACE, bound=[sock])])
        with socket.create_connection(address):
            while not port.undecided:
                await asyncio.sleep(0)
            await port.close(0)
            assert (port.connection_count, port.undecided) == (0, {})

    asyncio.run(story())
