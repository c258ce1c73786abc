"""One outgoing link: bytes in order, a bounded queue, and dialling again for as long as it takes.

The connection is a pipe that takes as much as the test lets it; the link's owner says how greeting
a member goes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.peer import Dice, PeerConfig, RefusedThere, Stream
from roost.peer.errors import HandshakeRefused, MalformedFrame, RemovedMember
from roost.peer.link import _IOV_MAX, Link
from roost.peer.local import Address
from roost.peer.troubles import Troubles
from roost.sim.members.loop import pass_time, run_virtually, until_idle
from tests.peer.pipes import Pipe

HERE, THERE = ("10.0.0.1", 1), ("10.0.0.2", 2)
COUNT_MAX, BYTES_MAX = 8, 100


class Noted(Troubles):
    """Remembers instead of saying."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    def note(self, member_id: int, address: Address, error: Exception) -> None:
        assert member_id == 7
        self.noted.append(f"{address[0]} {type(error).__name__}")


class HighOrLow:
    """Draws the least, or the most."""

    def __init__(self) -> None:
        self.is_high = False

    def below(self, n: int) -> int:
        return n - 1 if self.is_high else 0


class Owner:
    """A transport with one link; each greeting goes as the next of `answers` says."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self.config = PeerConfig(
            backoff_ms_min=100,
            backoff_ms_max=1000,
            handshake_ms_max=500,
            queue_count_max=COUNT_MAX,
            queue_bytes_max=BYTES_MAX,
        )
        self.drawn = HighOrLow()
        self.dice: Dice = self.drawn
        self.troubles: Troubles = Noted()
        self.answers: list[Exception | Pipe | None] = []
        self.said: list[str] = []
        self.greeted: list[tuple[Address, float]] = []
        # Whether connections come, and nobody greets.
        self.is_far = False
        self.link = Link(self, 7, 1)
        self.link.addresses = [THERE]

    async def greet(
        self, member_id: int, channel: int, address: Address, on_reached: Callable[[], None]
    ) -> Stream:
        assert (member_id, channel) == (7, 1)
        if self.is_far:
            on_reached()
        self.greeted.append((address, self.loop.time()))
        answer = self.answers.pop(0) if self.answers else ConnectionRefusedError(111, "refused")
        if answer is None:
            await asyncio.Event().wait()  # it never answers
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Pipe)
        return Stream(answer, 1000)

    def on_connected(self, member_id: int) -> None:
        assert member_id == 7
        assert self.link.is_open
        self.said.append("connected")

    def on_unreachable(self, member_id: int) -> None:
        assert member_id == 7
        assert not self.link.is_open
        self.said.append("unreachable")

    def on_refused(self, member_id: int, said: RefusedThere) -> None:
        assert member_id == 7
        self.said.append(f"refused: {said}")

    @property
    def noted(self) -> list[str]:
        return cast("Noted", self.troubles).noted


def linked(story: Callable[[Owner, Pipe], Awaitable[None]], *, room: int = 1 << 20) -> None:
    """Run a story with a link that is open, over a pipe of that room."""

    async def main() -> None:
        owner, pipe = Owner(), Pipe(room)
        owner.answers = [pipe]
        running = asyncio.ensure_future(owner.link.run())
        await until_idle()
        assert owner.link.is_open
        await story(owner, pipe)
        running.cancel()
        owner.link.close()
        await asyncio.wait([running])
        assert not pipe.is_waited_for

    run_virtually(main())


def dialling(story: Callable[[Owner], Awaitable[None]]) -> None:
    """Run a story with a link that dials."""

    async def main() -> None:
        owner = Owner()
        running = asyncio.ensure_future(owner.link.run())
        await story(owner)
        running.cancel()
        owner.link.close()
        await asyncio.wait([running])

    run_virtually(main())


FRAMES = st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=5)
STEPS = st.lists(st.one_of(FRAMES, st.integers(1, 40)), max_size=20)


@given(STEPS, st.integers(0, 60))
def test_what_was_taken_arrives_whole_and_in_order_and_what_was_dropped_does_not(
    steps: list[list[bytes] | int], room: int
) -> None:
    """A frame half sent, with another one behind it, would end the connection at the other side."""

    async def story(owner: Owner, pipe: Pipe) -> None:
        link, taken, queue_bytes = owner.link, b"", 0
        for step in steps:
            if isinstance(step, int):
                pipe.widen(step)
                await until_idle()
            else:
                was_empty = link.queued_bytes == 0
                is_taken = link.send(step)
                size = sum(map(len, step))
                if was_empty or link.queued_bytes > queue_bytes:
                    assert is_taken
                assert is_taken or not was_empty, "who has nothing queued drops nothing"
                if is_taken:
                    taken += b"".join(step)
                assert link.queued_bytes <= max(BYTES_MAX, size), "the queue is bounded"
            queue_bytes = link.queued_bytes
            assert pipe.left == taken[: len(pipe.left)]
            assert queue_bytes == len(taken) - len(pipe.left)
        pipe.widen(1 << 20)
        await until_idle()
        assert (pipe.left, link.queued_bytes) == (taken, 0)

    linked(story, room=room)


def test_a_queue_is_full_by_its_count_or_by_its_bytes() -> None:
    async def story(owner: Owner, pipe: Pipe) -> None:
        link = owner.link
        assert link.send([b"first"]), "into the queue: the socket takes nothing"
        for number in range(COUNT_MAX - 1):
            assert link.send([b"%d" % number])
        assert not link.send([b"x"]), "by the count"
        pipe.widen(1 << 20)
        await until_idle()
        pipe.room = 0
        assert link.send([bytes(BYTES_MAX - 1)])
        assert not link.send([b"xx"]), "by the bytes"
        assert link.send([b"x"])

    linked(story, room=0)


def test_one_message_larger_than_the_queue_is_sent_when_nothing_waits() -> None:
    """Or it would never be: what is sent again is as large again."""

    async def story(owner: Owner, pipe: Pipe) -> None:
        assert owner.link.send([bytes(5 * BYTES_MAX)])
        assert not owner.link.send([b"x"])
        pipe.widen(1 << 20)
        await until_idle()
        assert owner.link.send([b"x"])
        assert len(pipe.left) == 5 * BYTES_MAX + 1

    linked(story, room=0)


def test_more_buffers_than_a_system_call_takes_are_one() -> None:
    async def story(owner: Owner, pipe: Pipe) -> None:
        calls: list[int] = []
        sendmsg = pipe.sendmsg

        def counted(buffers: Sequence[bytes | memoryview], /) -> int:
            calls.append(len(buffers))
            return sendmsg(buffers)

        pipe.sendmsg = counted  # type: ignore[method-assign]  # counted
        assert owner.link.send([b"x"] * (_IOV_MAX + 1))
        assert owner.link.send([b"y"] * _IOV_MAX)
        assert calls == [_IOV_MAX]
        assert pipe.left == b"x" * (_IOV_MAX + 1) + b"y" * _IOV_MAX

    linked(story)


def scarce(_buffer: bytes) -> memoryview:
    """Nobody has memory for a part of it."""
    raise MemoryError


@pytest.mark.pure("it replaces a name of the module's")
def test_what_is_half_sent_and_there_is_no_memory_for_its_rest_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another frame behind a torn one would be nonsense to who reads it."""

    async def story(owner: Owner, pipe: Pipe) -> None:
        monkeypatch.setattr("roost.peer.link.memoryview", scarce, raising=False)
        assert not owner.link.send([b"head", b"body"])
        assert (owner.link.is_open, pipe.is_closed, pipe.left) == (False, True, b"headbo")
        monkeypatch.undo()

    async def queued(owner: Owner, pipe: Pipe) -> None:
        assert owner.link.send([b"first head", b"body"])
        monkeypatch.setattr("roost.peer.link.memoryview", scarce, raising=False)
        pipe.widen(6)
        await until_idle()
        assert (owner.link.is_open, pipe.is_closed) == (False, True)
        assert owner.link.queued_bytes == 0

    linked(story, room=6)
    linked(queued, room=6)


def test_what_a_socket_takes_by_pieces_is_not_copied_with_each_of_them() -> None:
    """Each of the pieces copied all that was left: half of a leader's time (2026-11-27)."""
    large = bytes(range(256)) * 64

    async def story(owner: Owner, pipe: Pipe) -> None:
        asked: list[bytes | memoryview] = []
        sendmsg = pipe.sendmsg

        def noted(buffers: Sequence[bytes | memoryview], /) -> int:
            asked.extend(buffers)
            return sendmsg(buffers)

        pipe.sendmsg = noted  # type: ignore[method-assign]  # what it was given
        assert owner.link.send([large])
        for _ in range(4):
            pipe.widen(100)
            await until_idle()
        assert pipe.left == large[:400]
        assert len(asked) >= 4
        assert all(isinstance(it, memoryview) and it.obj is large for it in asked)

    linked(story, room=0)


def test_nothing_is_sent_before_it_is_open_or_after_it_has_closed() -> None:
    async def story(owner: Owner) -> None:
        assert not owner.link.send([b"early"])
        pipe = Pipe(room=0)
        owner.answers = [pipe]
        await until_idle()
        assert owner.link.send([b"queued"])
        owner.link.close()
        assert (owner.link.queued_bytes, pipe.is_closed) == (0, True), "what was queued is lost"
        assert not owner.link.send([b"late"])
        owner.link.close()  # once more does nothing

    dialling(story)


@pytest.mark.parametrize("how", ["send", "queue", "end", "nonsense", "reset"])
def test_a_link_that_breaks_is_told_of_and_dialled_again(how: str) -> None:
    async def story(owner: Owner, pipe: Pipe) -> None:
        def broken(*_what: object) -> int:
            raise BrokenPipeError(32, "broken pipe")

        owner.answers = [Pipe()]
        if how == "send":
            pipe.send = broken  # type: ignore[method-assign]  # from now on
            assert not owner.link.send([b"x"])
        elif how == "queue":
            pipe.room = 0
            assert owner.link.send([b"x"])
            pipe.sendmsg = broken  # type: ignore[method-assign]  # from now on
            pipe.widen(1)
        elif how == "reset":
            pipe.recv = broken  # type: ignore[method-assign, assignment]  # from now on
            pipe.put(b"")
        else:
            pipe.put(b"" if how == "end" else b"who listens never speaks")
        await until_idle()
        assert owner.said == ["connected", "unreachable"]
        assert pipe.is_closed
        await pass_time(1)
        assert owner.said == ["connected", "unreachable", "connected"]
        assert owner.link.is_open

    linked(story)


def waits_s(owner: Owner) -> list[float]:
    """How long it waited between dialling and dialling again."""
    times = [at for _, at in owner.greeted]
    return [round(later - at, 3) for at, later in pairwise(times)]


@pytest.mark.parametrize("is_high", [False, True])
def test_who_is_away_is_dialled_less_and_less_often_and_never_in_step(*, is_high: bool) -> None:
    """Twice as long each time, up to a bound; drawn from the upper half of it."""

    async def story(owner: Owner) -> None:
        owner.drawn.is_high = is_high
        await pass_time(8)
        part = 1.0 if is_high else 0.5
        expected = [round(part * it, 3) for it in (0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0)]
        assert waits_s(owner)[:7] == expected

    dialling(story)


def test_who_was_reached_is_dialled_soon_again() -> None:
    async def story(owner: Owner) -> None:
        await pass_time(5)
        pipe = Pipe()
        owner.answers = [pipe]
        await pass_time(1)
        owner.greeted.clear()
        pipe.put(b"")
        await pass_time(0.16)
        assert len(owner.greeted) == 2, "at the least, and then at twice that"

    dialling(story)


def test_who_dials_us_is_there_and_dialled_at_once() -> None:
    async def story(owner: Owner) -> None:
        await pass_time(5)
        dialled = len(owner.greeted)
        owner.answers = [Pipe()]
        owner.link.wake()
        await until_idle()
        assert len(owner.greeted) == dialled + 1
        assert owner.link.is_open

    dialling(story)


def test_who_has_dialled_us_once_and_is_away_again_is_not_dialled_without_a_pause() -> None:
    async def story(owner: Owner) -> None:
        await pass_time(5)
        dialled = len(owner.greeted)
        owner.link.wake()
        await pass_time(0.3)
        assert 1 <= len(owner.greeted) - dialled <= 4, "at once, after 50 ms, and later each time"

    dialling(story)


def test_every_address_is_tried_in_its_turn_and_each_says_what_was_wrong() -> None:
    async def story(owner: Owner) -> None:
        owner.link.addresses = [HERE, THERE]
        owner.answers = [
            ConnectionRefusedError(111, "refused"),
            MalformedFrame("nonsense"),
            HandshakeRefused("another one"),
            RefusedThere(RemovedMember("you were removed"), is_proven=True),
            Pipe(),
        ]
        await pass_time(1)
        assert [at for at, _ in owner.greeted] == [HERE, THERE, HERE, THERE, HERE]
        noted = ["10.0.0.1 ConnectionRefusedError", "10.0.0.2 MalformedFrame"]
        assert owner.noted == [*noted, "10.0.0.1 HandshakeRefused"]
        assert owner.said == ["refused: you were removed", "connected"]

    dialling(story)


def test_a_bug_in_dialling_is_said_and_the_member_dialled_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A certificate that could not be read in the moment in which it was renewed was one."""

    async def story(owner: Owner) -> None:
        owner.answers = [RuntimeError("nobody has thought of this"), Pipe()]
        await pass_time(1)
        assert owner.link.is_open
        assert "nobody has thought of this" in caplog.text

    dialling(story)


def test_who_never_answers_a_greeting_is_given_up() -> None:
    async def story(owner: Owner) -> None:
        owner.answers = [None, Pipe()]
        await pass_time(0.49)
        assert (len(owner.greeted), owner.link.is_open) == (1, False)
        await pass_time(0.1)
        assert owner.noted == ["10.0.0.2 TimeoutError"]
        assert owner.link.is_open

    dialling(story)


def test_a_dial_that_hears_nothing_ends_soon_but_for_each_sixteenth() -> None:
    """Its first packet may be lost where the way is closed, and is sent again late."""

    async def story(owner: Owner) -> None:
        owner.config = replace(owner.config, backoff_ms_max=100, reach_ms_max=100)
        owner.answers = [None] * 40
        await pass_time(8)
        reached = [round(it - 0.05, 3) for it in waits_s(owner)]
        assert reached[:33] == [*[0.1] * 15, 0.5, *[0.1] * 15, 0.5, 0.1]

    dialling(story)


def test_who_is_reached_has_time_to_greet() -> None:
    async def story(owner: Owner) -> None:
        owner.config = replace(owner.config, reach_ms_max=100)
        owner.is_far, owner.answers = True, [None]
        await pass_time(0.49)
        assert len(owner.greeted) == 1
        await pass_time(0.1)
        assert len(owner.greeted) == 2

    dialling(story)


def test_who_comes_through_to_us_is_dialled_anew_where_a_dial_hears_nothing() -> None:
    async def story(owner: Owner) -> None:
        owner.config = replace(owner.config, handshake_ms_max=60_000, reach_ms_max=60_000)
        owner.answers = [None, Pipe()]
        await pass_time(0.1)
        owner.link.wake()  # it may be answered yet
        await pass_time(1.0)
        assert len(owner.greeted) == 1
        owner.link.wake()
        await pass_time(0.06)
        assert len(owner.greeted) == 2
        assert owner.link.is_open

    dialling(story)


def test_a_member_that_stops_is_not_kept_by_a_peer_that_wakes_it() -> None:
    """`wait_for` forgot in Python 3.11 that it was cancelled in the turn in which it was woken."""

    async def main() -> None:
        owner = Owner()
        running = asyncio.ensure_future(owner.link.run())
        await until_idle()
        owner.link.wake()
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()

    run_virtually(main())


def test_a_new_connection_begins_with_a_new_frame() -> None:
    """The rest of one that was half sent would be taken for its first, and end it."""

    async def story(owner: Owner, pipe: Pipe) -> None:
        assert owner.link.send([b"half of this"])
        again = Pipe()
        owner.answers = [again]
        pipe.put(b"")
        await pass_time(1)
        assert pipe.left == b"half"
        assert owner.link.send([b"whole"])
        assert again.left == b"whole"

    linked(story, room=4)
