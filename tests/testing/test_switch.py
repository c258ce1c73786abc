"""Doors between members: who comes is read from the greeting, and a cut lets nothing pass."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from roost.peer.frame import CONFIRM, HELLO, Confirm, Hello, Life, encode_struct
from roost.testing.patience import PATIENCE_S
from roost.testing.ports import free_ports
from roost.testing.switch import Door, Switch, _Inside

IDS = {101: 0, 102: 1, 103: 2}
LIFE = Life(directory=1, incarnation=1, number=1)


def hello(sender: int) -> bytes:
    return encode_struct(
        HELLO,
        Hello(
            cluster_id=1,
            member_id=sender,
            life=LIFE,
            target_id=102,
            channel=0,
            protocol_version=1,
            storage_version=1,
            nonce=bytes(16),
        ),
    )


class Doors:
    """Three doors; behind the one of position 1 somebody listens."""

    def __init__(self) -> None:
        ports = free_ports(6)
        self.doors = [Door(ports[it], ports[it + 3]) for it in range(3)]
        self.listener = socket.create_server(("127.0.0.1", self.doors[1].true_port))
        self.switch = Switch(self.doors, IDS)
        self.open: list[socket.socket] = []

    def dial(self, first: bytes) -> socket.socket:
        dialled = socket.create_connection(("127.0.0.1", self.doors[1].said_port))
        self.open.append(dialled)
        dialled.sendall(first)
        return dialled

    def accept(self, first: bytes) -> socket.socket:
        """Who is behind the door is reached, and gets what was said first."""
        accepted, _ = self.listener.accept()
        self.open.append(accepted)
        assert read(accepted, len(first)) == first
        return accepted

    def close(self) -> None:
        for it in self.open:
            it.close()
        self.listener.close()
        self.switch.close()


def read(source: socket.socket, count: int) -> bytes:
    return source.recv(count, socket.MSG_WAITALL)


def is_silent(source: socket.socket) -> bool:
    """Whether nothing has come, nor an end."""
    try:
        source.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK)
    except BlockingIOError:
        return True
    return False


@pytest.fixture
def doors() -> Iterator[Doors]:
    held = Doors()
    yield held
    held.close()


def test_bytes_pass_both_ways_and_so_does_an_end(doors: Doors) -> None:
    near = doors.dial(hello(101))
    far = doors.accept(hello(101))
    near.sendall(b"there")
    assert read(far, 5) == b"there"
    far.sendall(b"back")
    assert read(near, 4) == b"back"
    near.close()
    assert far.recv(1) == b""


def test_a_cut_lets_nothing_pass_and_loses_nothing(doors: Doors) -> None:
    near, other = doors.dial(hello(101)), doors.dial(hello(103))
    both = {it.getpeername(): it for it in (near, other)}
    assert len(both) == 1, "through one door"
    ends = [doors.listener.accept()[0] for _ in range(2)]
    doors.open += ends
    said = {read(it, len(hello(101))): it for it in ends}
    far, free = said[hello(101)], said[hello(103)]
    doors.switch.cut(1, 0)
    near.sendall(b"one")
    far.sendall(b"two")
    for text in (b"a", b"b"):  # whoever is not cut hears, so there was time for the others
        other.sendall(text)
        assert read(free, 1) == text
        free.sendall(text)
        assert read(other, 1) == text
    assert is_silent(near)
    assert is_silent(far)
    late = doors.dial(hello(101))
    doors.switch.heal()
    assert read(far, 3) == b"one"
    assert read(near, 3) == b"two"
    doors.accept(hello(101))
    assert is_silent(late)


def test_an_end_does_not_pass_a_cut_either(doors: Doors) -> None:
    near = doors.dial(hello(101))
    far = doors.accept(hello(101))
    doors.switch.cut(0, 1)
    near.close()
    probe = doors.dial(hello(103))
    doors.accept(hello(103))
    assert is_silent(probe)
    assert is_silent(far)
    doors.switch.heal()
    assert far.recv(1) == b""


def test_who_calls_back_is_let_through(doors: Doors) -> None:
    doors.switch.cut(0, 1)
    asked = encode_struct(CONFIRM, Confirm(target_id=102, nonce=bytes(16)))
    doors.dial(asked)
    doors.accept(asked)


def test_what_is_no_frame_reaches_whoever_can_say_so(doors: Doors) -> None:
    doors.dial(b"GET / HTTP/1.1\r\n")
    doors.accept(b"GET / HTTP/1")


def test_nobody_behind_a_door_is_an_end(doors: Doors) -> None:
    dialled = socket.create_connection(("127.0.0.1", doors.doors[2].said_port))
    doors.open.append(dialled)
    dialled.sendall(hello(101))
    assert dialled.recv(1) == b""


def test_a_port_that_is_taken_opens_no_door() -> None:
    taken, true = free_ports(2)
    with socket.create_server(("127.0.0.1", taken)), pytest.raises(OSError, match="in use"):
        Switch([Door(taken, true)], {})


def test_a_link_whose_end_went_while_it_was_cut_ends_without_a_word() -> None:
    """With uvloop it is no OSError to write there, and the switch told of a task that failed."""
    told: list[object] = []

    async def pass_on() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: told.append(context))
        switch = _Inside([], {})
        listener = await asyncio.start_server(lambda _reader, it: it.close(), "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        pair = frozenset((0, 1))
        await switch.cut(0, 1)
        reader = asyncio.StreamReader()
        reader.feed_data(b"data")
        reader.feed_eof()
        way = asyncio.create_task(switch._pass_on(pair, reader, writer))
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()
        await switch.heal()
        await way
        listener.close()

    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(pass_on())
    assert told == []


@pytest.mark.parametrize("turns", range(6))
def test_whoever_comes_while_it_is_closed_is_let_go(turns: int) -> None:
    """A task that was cancelled before its first step left it open, when the loop ended."""

    async def come_late() -> None:
        door = Door(*free_ports(2))
        switch = _Inside([door], IDS)
        await switch.open()
        dialled.connect(("127.0.0.1", door.said_port))
        for _ in range(turns):
            await asyncio.sleep(0)
        await switch.close()

    uvloop = pytest.importorskip("uvloop")
    with socket.socket() as dialled:
        dialled.settimeout(PATIENCE_S)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(come_late())
            with suppress(ConnectionResetError):
                assert dialled.recv(1) == b""
