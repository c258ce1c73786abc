"""A connection that goes with very many calls: they hear of it over turns, and say nothing then."""

from typing import ClassVar

from roost.call import Route, Stream, StreamCall
from roost.server.grpc import ENDED_A_TURN, GrpcServer
from roost.sim.members.loop import run_virtually, until_idle
from tests.server.test_budgets import Client

MANY = 1000


class Listening:
    """A stream that says something when it hears that its client is gone."""

    all: ClassVar[list["Listening"]] = []
    ended_count: ClassVar[int] = 0

    def __init__(self, call: StreamCall) -> None:
        self.call = call
        Listening.all.append(self)

    def on_message(self, message: bytes) -> None:
        """Nothing is asked."""

    def on_half_close(self) -> None:
        """It goes on."""

    def on_cancel(self) -> None:
        Listening.ended_count += 1
        self.call.send(b"too late")


ROUTES: dict[bytes, Route] = {b"/t/Listen": Stream(Listening)}


def test_calls_of_a_connection_that_is_gone_end_in_turns_and_send_nothing() -> None:
    async def main() -> None:
        server = GrpcServer(ROUTES, message_bytes_max=1 << 20, unread_bytes_max=1 << 20)
        Listening.all, Listening.ended_count = [], 0
        client, other = Client(server), Client(server)
        for _ in range(MANY):
            client.begin(b"/t/Listen")
        other.begin(b"/t/Listen")
        await until_idle()
        assert len(Listening.all) == MANY + 1
        client.protocol.connection_lost(None)
        assert Listening.ended_count == ENDED_A_TURN, "a bounded part of them at once"
        written = len(client.socket.written)
        for it in Listening.all:
            it.call.send(b"news")
        await until_idle()
        assert Listening.ended_count == MANY
        assert len(client.socket.written) == written
        assert b"news" in other.socket.written
        assert client.protocol.h2.blocked_bytes == 0
        other.protocol.connection_lost(None)
        assert Listening.ended_count == MANY + 1, "a few end at once"

    run_virtually(main())
