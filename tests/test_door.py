"""A socket that listens: nobody gets a descriptor of the reserve, and none left is no end."""

import asyncio
import errno
import logging
from collections.abc import Callable, Coroutine
from selectors import EVENT_READ

import pytest

from roost.door import PAUSE_S, TURN_COUNT, Door
from roost.sim.members.loop import pass_time, run_virtually, until_idle, virtual_loop

FREE = 100


class Came:
    """A connection with a descriptor of that number."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.is_closed = False
        self.blocks = True

    def fileno(self) -> int:
        return self._number

    def setblocking(self, is_blocking: bool) -> None:  # noqa: FBT001 - socket's
        self.blocks = is_blocking

    def close(self) -> None:
        self.is_closed = True


class Listening:
    """A socket that listens, and a queue of who waits there, or what goes wrong."""

    def __init__(self) -> None:
        self._loop = virtual_loop()
        self._descriptor = self._loop.attach(self)
        self._waiting: list[Came | OSError] = []
        self.backlog = 0
        self.is_closed = False

    def come(self, *waiting: Came | OSError) -> None:
        self._waiting += waiting
        self._loop.note(self._descriptor)

    def events(self) -> int:
        return EVENT_READ if self._waiting else 0

    def accept(self) -> tuple[Came, object]:
        if not self._waiting:
            raise BlockingIOError
        found = self._waiting.pop(0)
        if isinstance(found, OSError):
            raise found
        return found, ("10.0.0.1", found.fileno())

    def setblocking(self, is_blocking: bool) -> None:  # noqa: FBT001 - socket's
        assert not is_blocking

    def listen(self, backlog: int) -> None:
        self.backlog = backlog

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        self.is_closed = True


class Host:
    """Who has a door."""

    def __init__(self) -> None:
        self.sock = Listening()
        self.came: list[Came] = []
        self.turns: list[int] = []
        self.door = Door(
            self.sock,  # type: ignore[arg-type]  # as one
            on_come=self._on_come,  # type: ignore[arg-type]  # a connection as these are
            free=lambda: FREE,
        )

    def _on_come(self, sock: Came, address: object) -> None:
        assert address == ("10.0.0.1", sock.fileno())
        assert not sock.blocks
        self.came.append(sock)


def at_door(story: Callable[[Host], Coroutine[None, None, None]]) -> None:
    async def main() -> None:
        host = Host()
        await story(host)
        host.door.close()
        assert host.sock.is_closed

    run_virtually(main())


def test_who_comes_is_handed_on_in_order() -> None:
    async def story(host: Host) -> None:
        coming = [Came(number) for number in range(5, 9)]
        host.sock.come(*coming)
        await until_idle()
        assert host.came == coming
        assert host.sock.backlog > 0

    at_door(story)


def test_a_descriptor_of_the_reserve_is_given_back_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A crowd of idle clients must not leave the journal without files."""

    async def story(host: Host) -> None:
        late = [Came(FREE + it) for it in range(3)]
        host.sock.come(Came(FREE - 1), *late, Came(7))
        await until_idle()
        assert [it.fileno() for it in host.came] == [FREE - 1, 7]
        assert all(it.is_closed for it in late)

    with caplog.at_level(logging.WARNING):
        at_door(story)
    assert caplog.text.count("closed 1 connections") == 1, "and it is not said each time"


def test_a_crowd_is_taken_a_part_a_turn() -> None:
    async def story(host: Host) -> None:
        host.sock.come(*(Came(5) for _ in range(3 * TURN_COUNT)))
        loop = asyncio.get_running_loop()
        lengths: list[int] = []
        while len(host.came) < 3 * TURN_COUNT:
            loop.call_soon(lambda: lengths.append(len(host.came)))
            await asyncio.sleep(0)
        steps = [after - before for before, after in zip([0, *lengths], lengths, strict=False)]
        assert max(steps) <= TURN_COUNT

    at_door(story)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_where_none_is_left_those_who_wait_go_on_waiting(number: int) -> None:
    async def story(host: Host) -> None:
        one, other = Came(5), Came(6)
        host.sock.come(one, OSError(number, "none left"), other)
        await until_idle()
        assert host.came == [one]
        await pass_time(PAUSE_S / 2)
        assert host.came == [one], "the loop must not turn for nothing meanwhile"
        await pass_time(PAUSE_S)
        assert host.came == [one, other]

    at_door(story)


def test_who_broke_off_before_its_turn_hinders_nobody() -> None:
    async def story(host: Host) -> None:
        other = Came(6)
        host.sock.come(OSError(errno.ECONNABORTED, "gone"), other)
        await until_idle()
        assert host.came == [other]

    at_door(story)


def test_nobody_is_taken_after_the_end_nor_after_a_pause() -> None:
    async def story(host: Host) -> None:
        host.sock.come(OSError(errno.EMFILE, "none left"), Came(5))
        await until_idle()
        host.door.close()
        await pass_time(2 * PAUSE_S)
        assert host.came == []

    at_door(story)
