"""A turn of the loop reads a bounded part of what clients send, and from each in turn."""

import asyncio

from roost.call import Route, Unary
from roost.server.calls import UnaryCall
from roost.server.grpc import GrpcProtocol, GrpcServer
from roost.server.h2 import PREFACE
from roost.server.h2 import frames as f
from roost.server.h2.hpack import encode_literal
from roost.server.intake import REQUEST_UNITS, SHARE_UNITS_MIN, TURN_UNITS, Intake
from roost.sim.members.loop import run_virtually, until_idle, virtual_loop

HEADERS = b"".join(
    encode_literal(name, value)
    for name, value in (
        (b":method", b"POST"),
        (b":path", b"/test.Service/Echo"),
        (b"content-type", b"application/grpc"),
    )
)
MESSAGE = b"\0\0\0\0\x01x"


class Client:
    """Has so many units of work to be read."""

    def __init__(self, intake: Intake, units: int) -> None:
        self.intake = intake
        self.units = units
        self.turns: list[int] = []

    def send(self) -> None:
        self.read_on(self.intake.budget())

    def read_on(self, budget: int) -> None:
        used = min(self.units, budget)
        self.units -= used
        self.turns.append(used)
        self.intake.note(self, used, has_more=self.units > 0)


def test_a_turn_has_one_budget_and_those_in_line_share_the_next() -> None:
    async def main() -> None:
        intake = Intake()
        hostile = [Client(intake, 10 * TURN_UNITS) for _ in range(4)]
        for client in hostile:
            client.send()
        assert sum(client.turns[0] for client in hostile) == TURN_UNITS
        modest = Client(intake, 20)
        modest.send()
        turns = 0
        while modest.units:
            await asyncio.sleep(0)
            turns += 1
        assert turns <= 2
        shares = [client.turns[-1] for client in hostile]
        assert all(it >= SHARE_UNITS_MIN for it in shares)
        while intake.waiting_count:
            await asyncio.sleep(0)
        assert [client.units for client in hostile] == [0] * 4

    asyncio.run(main())


def test_who_sends_little_needs_no_turn_and_no_turn_has_less_than_half() -> None:
    async def main() -> None:
        intake = Intake()
        modest = Client(intake, 10 * TURN_UNITS)
        for used in (20, TURN_UNITS // 2 - 20):
            intake.note(modest, used, has_more=False)
            assert virtual_loop().is_idle
        assert intake.budget() >= TURN_UNITS // 2
        intake.note(modest, 1, has_more=False)
        assert not virtual_loop().is_idle
        await until_idle()
        assert intake.budget() == TURN_UNITS

    run_virtually(main())


def test_what_fails_as_it_is_read_does_not_stop_the_line() -> None:
    class Failing(Client):
        def read_on(self, budget: int) -> None:
            if self.turns:
                raise ValueError
            super().read_on(budget)

    async def main() -> None:
        heard: list[object] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _loop, context: heard.append(context["exception"])
        )
        intake = Intake()
        failing, other = Failing(intake, 2 * TURN_UNITS), Client(intake, 2 * TURN_UNITS)
        failing.send()
        other.send()
        while other.units:
            await asyncio.sleep(0)
        assert [type(it) for it in heard] == [ValueError]

    asyncio.run(main())


class Socket(asyncio.Transport):
    """Says whether it is read from, and keeps what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.is_read = True
        self.is_aborted = False
        self.written = b""

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        self.is_aborted = True

    def abort(self) -> None:
        self.is_aborted = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def get_write_buffer_size(self) -> int:
        return 0


def requests(count: int) -> bytes:
    return PREFACE + b"".join(
        f.frame(f.HEADERS, f.END_HEADERS, 2 * number + 1, HEADERS)
        + f.frame(f.DATA, f.END_STREAM, 2 * number + 1, MESSAGE)
        for number in range(count)
    )


def test_a_thousand_requests_of_one_client_take_many_turns_and_another_waits_for_one() -> None:
    handled: list[str] = []

    def handle(call: UnaryCall, message: bytes) -> None:
        handled.append(call.address)
        call.reply(message)

    async def main() -> None:
        unary = Unary(handle)  # type: ignore[arg-type]  # a narrower call
        routes: dict[bytes, Route] = {b"/test.Service/Echo": unary}
        server = GrpcServer(routes, message_bytes_max=1000, unread_bytes_max=1 << 20)
        sockets = [Socket(), Socket()]
        many, one = (GrpcProtocol(server, lambda _it: None) for _ in sockets)
        for protocol, socket, name in ((many, sockets[0], "many"), (one, sockets[1], "one")):
            protocol.connection_made(socket)
            protocol.address = name
        many.data_received(requests(1000))
        assert len(handled) <= TURN_UNITS // REQUEST_UNITS + 1
        assert not sockets[0].is_read, "what it sends now stays in its socket"
        one.data_received(requests(1))
        turns = 0
        while "one" not in handled:
            await asyncio.sleep(0)
            turns += 1
        assert turns <= 2
        assert len(handled) < 200
        while len(handled) < 1001:
            await asyncio.sleep(0)
        assert sockets[0].is_read

    asyncio.run(main())


def test_what_breaks_the_rules_has_used_its_part_of_the_turn() -> None:
    """Sixteen that came together, each to be cut off, took a turn of 30 ms."""

    async def main() -> None:
        server = GrpcServer({}, message_bytes_max=1000, unread_bytes_max=1 << 20)
        sockets = [Socket(), Socket()]
        protocols = [GrpcProtocol(server, lambda _it: None) for _ in sockets]
        hostile = PREFACE + b"".join(
            (
                f.frame(f.HEADERS, 0, 1, HEADERS),
                f.frame(f.CONTINUATION, 0, 1, b"\x00\x01x\x01y" * 3000),
            )
        )
        for protocol, socket in zip(protocols, sockets, strict=True):
            protocol.connection_made(socket)
            protocol.data_received(hostile)
        assert [it.is_aborted for it in sockets] == [True, False]
        assert server.intake.budget() == 0
        turns = 0
        while not sockets[1].is_aborted:
            await asyncio.sleep(0)
            turns += 1
        assert turns <= 2

    asyncio.run(main())


def test_a_message_in_many_parts_costs_each_part_once() -> None:
    """Issue 14: 2 MiB that ended in 100,000 frames of a byte held the loop for 75 s."""
    handled: list[bytes] = []

    def handle(call: UnaryCall, message: bytes) -> None:
        handled.append(message)
        call.reply(b"")

    async def main() -> None:
        unary = Unary(handle)  # type: ignore[arg-type]  # a narrower call
        routes: dict[bytes, Route] = {b"/test.Service/Echo": unary}
        server = GrpcServer(routes, message_bytes_max=1 << 20, unread_bytes_max=1 << 20)
        protocol = GrpcProtocol(server, lambda _it: None)
        protocol.connection_made(Socket())
        body = bytes(100_000) + bytes(range(256)) * 40
        message = b"\0" + len(body).to_bytes(4, "big") + body
        frames = [f.frame(f.DATA, 0, 1, message[:16_384])]
        frames += [
            f.frame(f.DATA, 0, 1, message[at : at + 9]) for at in range(16_384, len(message), 9)
        ]
        opened = f.frame(f.HEADERS, f.END_HEADERS, 1, HEADERS)
        protocol.data_received(PREFACE + opened + b"".join(frames))
        call = protocol.h2.streams[1].state
        while server.intake.waiting_count:
            await asyncio.sleep(0)
        assert len(call._buffer) == len(message)
        protocol.data_received(f.frame(f.DATA, f.END_STREAM, 1, b""))
        while not handled:
            await asyncio.sleep(0)
        assert handled == [body]

    asyncio.run(main())
