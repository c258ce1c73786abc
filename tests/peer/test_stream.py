"""Frames on a connection by coroutines, and waiting for it: cut anywhere, slow, silent, ended."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from roost.peer import frame, framing
from roost.peer.errors import REFUSALS, HandshakeRefused, MalformedFrame, WrongCluster
from roost.peer.frame import Refusal
from roost.peer.stream import SnapshotGone, Stream, refusal_error
from roost.peer.waiting import receive, send_all
from roost.sim.members.loop import pass_time, run_virtually, until_idle, virtual_loop
from tests.peer.pipes import Pipe

KIND = 99


def framed(*bodies: bytes) -> bytes:
    return b"".join(b"".join(framing.encode(KIND, [it])) for it in bodies)


def on_stream(story: Callable[[Pipe, Stream], Awaitable[None]], room: int = 1 << 20) -> None:
    async def main() -> None:
        pipe = Pipe(room)
        await story(pipe, Stream(pipe, 1000))
        assert not pipe.is_waited_for

    run_virtually(main())


def test_frames_come_in_order_wherever_they_are_cut() -> None:
    bodies = [b"one", b"", b"three"]
    data = framed(*bodies)
    cuts = [[data]] + [[data[:at], data[at:]] for at in range(1, len(data))]
    for parts in [*cuts, [data[at : at + 1] for at in range(len(data))]]:

        async def story(pipe: Pipe, stream: Stream, parts: list[bytes] = parts) -> None:
            pipe.put(*parts)
            assert [await stream.next_frame() for _ in bodies] == [(KIND, it) for it in bodies]

        on_stream(story)


def test_what_came_with_a_frame_and_was_not_asked_for_is_handed_over_once() -> None:
    async def story(pipe: Pipe, stream: Stream) -> None:
        pipe.put(framed(b"asked for", b"more", b"and more"))
        assert await stream.next_frame() == (KIND, b"asked for")
        assert stream.take_frames() == [(KIND, b"more"), (KIND, b"and more")]
        assert stream.take_frames() == []

    on_stream(story)


@pytest.mark.parametrize(
    ("came", "error"),
    [
        ([b""], ConnectionResetError),
        ([framed(b"whole")[:-1], b""], ConnectionResetError),
        ([b"HTTP/1", b""], MalformedFrame),
        ([b"GET / HTTP/1.1\r\n\r\n"], MalformedFrame),
        ([framed(bytes(1001))], MalformedFrame),
    ],
)
def test_an_end_and_nonsense_are_told_apart(came: list[bytes], error: type[Exception]) -> None:
    async def story(pipe: Pipe, stream: Stream) -> None:
        pipe.put(*came)
        with pytest.raises(error):
            await stream.next_frame()

    on_stream(story)


def test_a_silence_ends_the_wait_and_bytes_that_come_begin_it_anew() -> None:
    async def story(pipe: Pipe, stream: Stream) -> None:
        data = framed(b"slow")
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(stream.next_frame())
            for at in (0, 1, 2):
                await pass_time(9.9)
                pipe.put(data[at : at + 1])
            await pass_time(9.9)
            pipe.put(data[3:])
            assert await waiting == (KIND, b"slow")
        begun_s = virtual_loop().time()
        with pytest.raises(TimeoutError):
            await stream.next_frame()
        assert 10 <= virtual_loop().time() - begun_s < 10.1

    on_stream(story)


@pytest.mark.parametrize("kind", [*REFUSALS, "SnapshotGone", "of a later version"])
def test_a_refusal_is_the_error_that_it_names_or_their_family(kind: str) -> None:
    async def story(pipe: Pipe, stream: Stream) -> None:
        pipe.put(frame.encode_struct(frame.REFUSAL, Refusal(kind=kind, text="why")))
        with pytest.raises(HandshakeRefused, match="why") as caught:
            await stream.receive()
        kinds = {**REFUSALS, "SnapshotGone": SnapshotGone}
        assert type(caught.value) is kinds.get(kind, HandshakeRefused)

    on_stream(story)


def test_what_is_no_refusal_is_received() -> None:
    async def story(pipe: Pipe, stream: Stream) -> None:
        pipe.put(framed(b"yes"))
        assert await stream.receive() == (KIND, b"yes")

    on_stream(story)
    assert type(refusal_error(Refusal(kind="WrongCluster", text=""))) is WrongCluster


def test_all_is_sent_as_fast_as_the_other_side_takes_it() -> None:
    async def story(pipe: Pipe, stream: Stream) -> None:
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(stream.send_buffers(KIND, [b"a" * 50, b"b" * 50]))
            while not sending.done():
                await until_idle()
                assert pipe.room == 0 or sending.done()
                pipe.widen(7)
        assert pipe.left == b"".join(framing.encode(KIND, [b"a" * 50, b"b" * 50]))

    on_stream(story, room=0)


def test_who_gives_up_waiting_leaves_nothing_behind() -> None:
    """A descriptor that is still watched when its number is another's wakes the wrong one."""

    async def main() -> None:
        pipe = Pipe(room=0)
        loop = virtual_loop()
        for wait in (receive(loop, pipe, 10), send_all(loop, pipe, b"x")):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await wait
            assert not pipe.is_waited_for
        await send_all(loop, pipe, b"")
        assert pipe.left == b""

    run_virtually(main())


def test_closing_a_stream_closes_its_connection() -> None:
    async def story(pipe: Pipe, stream: Stream) -> None:
        stream.close()
        assert pipe.is_closed

    on_stream(story)
