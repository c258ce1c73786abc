"""The port's side of a request with an id: it is noted, and carried, by whatever way it has come.

The steps behind the port are tests of `tests/member/pipeline/test_traces.py`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from roost import tracing
from roost.call import Call, Route, Stream, StreamCall, StreamHandler, Unary
from roost.exchange import Answer, Reply, Request
from roost.flow import Flow, flow_of
from roost.server.admission import Admission
from roost.server.grpc import GrpcProtocol, GrpcServer
from roost.server.h2 import PREFACE
from roost.server.h2 import frames as f
from roost.server.h2.hpack import encode_literal
from roost.sim.members.loop import run_virtually, until_idle
from roost.tracing import Traced, Way
from tests.server import test_direct, test_exchanges
from tests.server.posts import Client, Handler, Service, beside, put_method, watch_method
from tests.server.test_intake import Socket

UNARY, STREAM = b"/test.Service/Unary", b"/test.Service/Stream"
MESSAGE = b"\0\0\0\0\x05hello"
PARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
PLAIN = (Flow, "")


@contextmanager
def looking() -> Iterator[list[Way]]:
    """All that ends while somebody looks."""
    found: list[Way] = []
    tracing.sinks.append(found.append)
    try:
        yield found
    finally:
        tracing.sinks.remove(found.append)


def kind_of(flow: Flow) -> tuple[type, str]:
    """Whether it carries an id, and which."""
    return type(flow), flow.trace if isinstance(flow, Traced) else ""


def told(ways: list[Way]) -> list[tuple[str, ...]]:
    return [(it.trace, it.name, it.place, *(step.name for step in it.steps)) for it in ways]


class Port:
    """One connection of gRPC; keeps the flows of the calls that came by it."""

    def __init__(self) -> None:
        self.flows: list[Flow] = []
        routes: dict[bytes, Route] = {UNARY: Unary(self._handle), STREAM: Stream(self._open)}
        self._server = GrpcServer(
            routes,
            message_bytes_max=1000,
            unread_bytes_max=1 << 20,
            admission=Admission(),
            has_leader=lambda: False,
        )
        self.socket = Socket()
        self._protocol = GrpcProtocol(self._server, lambda _it: None)
        self._protocol.connection_made(self.socket)
        self._protocol.data_received(PREFACE + f.settings({}))
        self._next_id = 1

    def _handle(self, call: Call, message: bytes) -> None:
        self.flows.append(call.flow)
        call.reply(message)

    def _open(self, call: StreamCall) -> StreamHandler:
        self.flows.append(call.flow)
        return Handler()

    async def ask(self, *fields: tuple[bytes, bytes], path: bytes = UNARY) -> None:
        """Send one call, its headers and its message together or apart."""
        head = [(b":method", b"POST"), (b":path", path), (b"content-type", b"application/grpc")]
        block = b"".join(encode_literal(name, value) for name, value in (*head, *fields))
        stream_id, self._next_id = self._next_id, self._next_id + 2
        frames = f.frame(f.HEADERS, f.END_HEADERS, stream_id, block)
        frames += f.frame(f.DATA, f.END_STREAM, stream_id, MESSAGE)
        self._protocol.data_received(frames)
        await until_idle()


@pytest.mark.parametrize(
    ("field", "trace"),
    [
        ((b"x-request-id", b"order-1"), "order-1"),
        ((b"traceparent", PARENT), PARENT.decode()),
    ],
)
def test_a_call_of_grpc_carries_its_id(field: tuple[bytes, bytes], trace: str) -> None:
    async def story() -> None:
        port = Port()
        with looking() as ways:
            await port.ask(field)
            await port.ask()
        assert told(ways) == [(trace, UNARY.decode(), "", "received")]
        assert [kind_of(it) for it in port.flows] == [(Traced, trace), PLAIN]
        # It takes its turns with all else that comes by its connection.
        assert port.flows[0] == port.flows[1]
        assert port.socket.written.count(b"hello") == 2

    run_virtually(story())


def test_a_head_that_has_come_before_is_noted_whenever_somebody_looks() -> None:
    """Heads are kept, and read once for all that are equal."""

    async def story() -> None:
        port, field = Port(), (b"x-request-id", b"always-the-same")
        await port.ask(field)
        await port.ask(field)
        with looking() as ways:
            await port.ask(field)
            await port.ask(field)
        await port.ask(field)
        assert len(ways) == 2
        traced = (Traced, "always-the-same")
        assert [kind_of(it) for it in port.flows] == [PLAIN, PLAIN, traced, traced, PLAIN]
        assert port.socket.written.count(b"hello") == 5

    run_virtually(story())


@pytest.mark.parametrize("value", [b"a" * 56, b"a b", b"", b"\xff"])
def test_what_is_no_id_is_carried_nowhere(value: bytes) -> None:
    async def story() -> None:
        port = Port()
        with looking() as ways:
            await port.ask((b"x-request-id", value))
        assert (ways, [kind_of(it) for it in port.flows]) == ([], [PLAIN])

    run_virtually(story())


def test_streams_and_what_is_refused_are_not_followed() -> None:
    async def story() -> None:
        port, field = Port(), (b"x-request-id", b"a")
        with looking() as ways:
            await port.ask(field, path=STREAM)
            await port.ask(field, path=b"/test.Service/Nothing")
            await port.ask(field, (b"hasleader", b"true"))
        assert (ways, [kind_of(it) for it in port.flows]) == ([], [PLAIN])

    run_virtually(story())


def direct(headers: dict[str, str]) -> list[Flow]:
    """The flow of an exchange by callbacks."""
    flows: list[Flow] = []

    def answer(request: Request, reply: Reply) -> None:
        flows.append(request.caller.flow)
        reply(Answer(200, b""))

    test_direct.Client(test_direct.exchanges(answer), **headers).send()
    return flows


def awaited(headers: dict[str, str]) -> list[Flow]:
    """The flow of an exchange by a coroutine."""
    flows: list[Flow] = []

    async def answer(request: Request) -> Answer:
        flows.append(request.caller.flow)
        return Answer(200, b"")

    async def story() -> None:
        client = test_exchanges.Client(test_exchanges.exchanges(answer), headers)
        client.send()
        await client.talk()

    run_virtually(story())
    return flows


def gateway(headers: dict[str, str]) -> list[Flow]:
    """The flow of a call of the JSON gateway."""
    flows: list[Flow] = []

    def handle(call: Call, _message: bytes) -> None:
        flows.append(call.flow)
        call.reply(b"")

    async def story() -> None:
        named = {name.encode(): value.encode() for name, value in headers.items()}
        client = Client(put_method(handle), named)
        client.post(b"{}")
        await client.talk()

    run_virtually(story())
    return flows


@pytest.mark.parametrize(
    ("ask", "name"),
    [
        (direct, "PUT /v2/keys/a%20b"),
        (awaited, "PUT /v2/keys/a%20b"),
        (gateway, "POST /v3/test"),
    ],
)
def test_a_request_over_http_carries_its_id(
    ask: Callable[[dict[str, str]], list[Flow]], name: str
) -> None:
    headers = {"x-request-id": "order-1"}
    assert [kind_of(it) for it in ask(headers)] == [PLAIN]
    with looking() as ways:
        assert [kind_of(it) for it in ask({})] == [PLAIN]
        assert ways == []
        [flow] = ask(headers)
    assert kind_of(flow) == (Traced, "order-1")
    assert flow == flow_of("10.0.0.9", 4711)
    assert told(ways) == [("order-1", name, "10.0.0.9", "received")]


def test_a_stream_of_the_gateway_is_not_followed() -> None:
    service = Service()
    client = Client(watch_method(service), {b"x-request-id": b"a"})

    async def work(client: Client) -> None:
        client.post(b"{}")
        await until_idle()
        client.leave()
        for it in service.streams:
            it.finish(0, "")

    with looking() as ways:
        beside(work, client)
    assert (ways, [kind_of(it.flow) for it in service.streams]) == ([], [PLAIN])
