"""What a watch is told is the same by callbacks and piece by piece."""

import gc

from roost.exchange import Answer, Streaming
from roost.sim.members import loop as virtual
from roost.sim.members.loop import run_virtually, until_idle
from tests.etcd.v2.face import Face, json_of
from tests.server.test_garbage import kinds_left


class Taker:
    """A client whose answer is taken by callbacks, as the port does it."""

    def __init__(self, streaming: Streaming) -> None:
        assert streaming.quick is not None
        self.streaming, self.quick = streaming, streaming.quick
        self.told: list[bytes | None] = []
        self.go_on()

    def go_on(self) -> None:
        while True:
            piece = self.quick.take()
            self.told += [] if piece == b"" else [piece]
            if piece is None or self.quick.is_over:
                self.streaming.close()
                return
            if self.quick.hear(self.go_on):
                return


def test_who_waits_is_told_by_a_callback_what_pieces_would_say() -> None:
    async def story() -> None:
        with Face(v2_heartbeat_s=10.0) as face:
            waits = [await face.watch("/a") for _ in range(2)]
            taker = Taker(waits[0])
            await virtual.pass_time(25.0)
            assert taker.told == [b"\n"] * 2, "as often as by pieces"
            await face.ask("PUT", "/a", value="1")
            assert taker.told[2:] == [it async for it in waits[1].pieces]
            assert taker.quick.is_over
            await virtual.pass_time(25.0)
            assert len(taker.told) == 3, "nothing comes behind the end"
            waits[1].close()
            assert face.v2.hub.count == 0

    run_virtually(story())


def test_a_stream_is_told_by_callbacks_of_the_past_what_comes_and_why_it_ends() -> None:
    async def story() -> None:
        with Face() as face:
            for number in range(120):
                await face.ask("PUT", "/a", value=number)
            taker = Taker(await face.watch("/a", stream="true", waitIndex=1))
            await until_idle()
            await face.ask("PUT", "/a", value="last")
            told = b"".join(it for it in taker.told if it is not None)
            events = [json_of(Answer(200, it)) for it in told.splitlines()]
            assert [it["node"]["modifiedIndex"] for it in events] == [*range(1, 122)]
            assert not taker.quick.is_over
            face.v2.on_rights_changed()
            await until_idle()
            assert b'"errorCode":110' in (taker.told[-1] or b"")
            assert taker.quick.is_over

    run_virtually(story())


def test_what_is_long_is_not_told_by_a_callback() -> None:
    async def story() -> None:
        with Face() as face:
            taker = Taker(await face.watch("/a"))
            await face.ask("PUT", "/a", value="\x01" * 10_000)
            await until_idle()
            assert taker.told == [None]

    run_virtually(story())


def test_requests_leave_nothing_to_be_collected() -> None:
    """A wait for an answer knew what it calls when it is late, and that, compiled, the wait."""

    async def story() -> None:
        with Face() as face:

            async def act() -> None:
                takers = [Taker(await face.watch("/a", stream=it)) for it in ("false", "true")]
                await face.ask("PUT", "/a", value="1")
                await face.ask("PUT", "/a", value="2", prevValue="3")
                await face.ask("GET", "/a")
                await face.ask("GET", "/a", quorum="true")
                await face.ask("POST", "/d", value="1")
                await face.ask("DELETE", "/d", recursive="true")
                for it in takers:
                    assert len(it.told) == 1
                    it.streaming.close()
                await until_idle()

            await act()
            gc.collect()
            assert await kinds_left(act) == {}

    run_virtually(story())
