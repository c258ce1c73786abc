"""Greetings on connections: both ends of the machines, refusals that are told, and calls back."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

import msgspec
import pytest

from roost.peer import frame
from roost.peer.errors import (
    HandshakeRefused,
    MalformedFrame,
    RefusedThere,
    UnprovenMember,
    WrongCluster,
    WrongMember,
)
from roost.peer.frame import Confirmed, Invitation, Refusal, Welcome
from roost.peer.greeting import Acceptor, Admitted, CallBack, Dialler, Joins
from roost.peer.handshake import admit, call_back, greet
from roost.peer.local import Address
from roost.peer.network import Connection
from roost.peer.stream import Stream
from roost.sim.members.loop import run_virtually, until_idle, virtual_loop
from roost.sim.members.network import Host, SimNetwork
from roost.tasks import Tasks
from tests.peer.greetings import HOME, ONE, OURS, THEIRS, House, acceptor, hello, joining

HERE = ("10.0.0.1", 2380)
BODY_BYTES_MAX = 1 << 16
LIMIT_S = 1.0


@dataclass
class Line:
    """Both ends of a connection."""

    near: Stream
    far: Stream


class Town:
    """A network on which some addresses answer."""

    def __init__(self, network: SimNetwork) -> None:
        self.network = network
        self.host = Host(network, HERE)
        self.dialled: list[Address] = []
        self.streams: list[Stream] = []
        self._tasks = Tasks()

    async def answer(
        self, address: Address, act: Callable[[Stream], Coroutine[None, None, None]]
    ) -> None:
        """Have somebody at an address who does that with each connection."""

        def come(connection: Connection, _host: str) -> None:
            stream = Stream(connection, BODY_BYTES_MAX)
            self._tasks.start(act(stream))

        await Host(self.network, address).listen(address, come)

    async def dial(self, address: Address) -> Stream:
        self.dialled.append(address)
        connection, _ = await self.host.connect(address)
        stream = Stream(connection, BODY_BYTES_MAX)
        self.streams.append(stream)
        return stream

    async def line(self) -> Line:
        came: asyncio.Future[Connection] = virtual_loop().create_future()
        await Host(self.network, HOME).listen(HOME, lambda it, _host: came.set_result(it))
        near = await self.dial(HOME)
        return Line(near, Stream(await came, BODY_BYTES_MAX))


@pytest.fixture
def town(network: SimNetwork) -> Town:
    return Town(network)


@dataclass
class Back:
    """Who is asked whether it greets us, and what it says."""

    answer: str = ""
    asked: list[CallBack] = field(default_factory=list)

    async def __call__(self, step: CallBack) -> str:
        self.asked.append(step)
        return self.answer


async def both(
    line: Line, dialler: Dialler, far: Acceptor, back: Back
) -> list[Welcome | Invitation | Admitted | Joins | BaseException | None]:
    """What the one who dials gets, and the one who lets in."""
    return list(
        await asyncio.gather(
            greet(line.near, dialler), admit(line.far, far, back), return_exceptions=True
        )
    )


def test_who_proves_itself_is_welcomed_after_it_was_called_back(town: Town) -> None:
    async def story() -> None:
        back = Back()
        line = await town.line()
        dialler, far = Dialler(hello(), OURS), acceptor(House(OURS))
        welcome, admitted = await both(line, dialler, far, back)
        assert isinstance(admitted, Admitted)
        assert (welcome, admitted.hello.member_id) == (admitted.welcome, 2)
        assert back.asked == [CallBack(2, (HOME,), ONE)]

    run_virtually(story())


@pytest.mark.parametrize(
    ("changes", "answer", "refusal"),
    [
        ({"cluster_id": 8}, "", WrongCluster),
        ({"target_id": 3}, "", WrongMember),
        ({}, "it greets nobody", UnprovenMember),
    ],
)
def test_who_is_refused_is_told_why_and_so_is_whoever_let_it_come(
    town: Town, changes: dict[str, object], answer: str, refusal: type[HandshakeRefused]
) -> None:
    async def story() -> None:
        dialler, far = Dialler(hello(**changes), OURS), acceptor(House(OURS))
        there, here = await both(await town.line(), dialler, far, Back(answer))
        assert type(here) is refusal
        assert isinstance(there, RefusedThere)
        assert type(there.refusal) is refusal
        assert str(here) in str(there)

    run_virtually(story())


def test_who_does_not_know_the_secret_is_not_even_called_back(town: Town) -> None:
    async def story() -> None:
        back = Back()
        far = acceptor(House(OURS))
        there, here = await both(await town.line(), Dialler(hello(), THEIRS), far, back)
        assert isinstance(here, HandshakeRefused) or isinstance(there, HandshakeRefused)
        assert back.asked == []

    run_virtually(story())


def test_a_newcomer_gets_its_invitation_from_whoever_sends_it_the_store(town: Town) -> None:
    """Not here: the frame must not be on its way before there is a copy to follow it."""

    async def story() -> None:
        line = await town.line()
        async with asyncio.TaskGroup() as group:
            dialling = group.create_task(greet(line.near, Dialler(joining(), OURS)))
            joins = await admit(line.far, acceptor(House(OURS)), Back())
            assert isinstance(joins, Joins)
            await until_idle()
            assert not dialling.done()
            await line.far.send(frame.INVITATION, joins.invitation)
            assert await dialling == joins.invitation

    run_virtually(story())


@pytest.mark.parametrize(("nonce", "kind"), [(ONE, frame.CONFIRMED), (b"3" * 16, frame.REFUSAL)])
def test_who_only_asks_is_told_and_let_go(town: Town, nonce: bytes, kind: int) -> None:
    async def story() -> None:
        line = await town.line()
        await line.near.send(frame.CONFIRM, frame.Confirm(target_id=1, nonce=nonce))
        if kind == frame.CONFIRMED:
            assert await admit(line.far, acceptor(House()), Back()) is None
        else:
            with pytest.raises(UnprovenMember):
                await admit(line.far, acceptor(House()), Back())
        assert (await line.near.next_frame())[0] == kind

    run_virtually(story())


def test_nonsense_is_answered_with_nothing(town: Town) -> None:
    """Whoever says it is no member: a refusal would tell it what is here."""

    async def story() -> None:
        line = await town.line()
        await line.near.send(frame.PROOF, Refusal(kind="", text=""))
        with pytest.raises(MalformedFrame):
            await admit(line.far, acceptor(House()), Back())
        line.far.close()
        with pytest.raises(ConnectionResetError):
            await line.near.next_frame()

    run_virtually(story())


STEP = CallBack(2, (HOME, ("10.0.0.7", 2380), ("10.0.0.8", 2380)), ONE)


def says(kind: int, body: msgspec.Struct) -> Callable[[Stream], Coroutine[None, None, None]]:
    async def act(stream: Stream) -> None:
        assert (await stream.next_frame())[0] == frame.CONFIRM
        await stream.send(kind, body)

    return act


async def is_silent(stream: Stream) -> None:
    await stream.next_frame()
    with pytest.raises(ConnectionResetError):  # given up
        await stream.next_frame()


def test_whoever_confirms_first_is_believed_and_nobody_else_is_asked(town: Town) -> None:
    async def story() -> None:
        _, second, third = STEP.addresses  # nobody is at the first
        for address in (second, third):
            await town.answer(address, says(frame.CONFIRMED, Confirmed()))
        assert await call_back(STEP, town.dial, limit_s=LIMIT_S) == ""
        assert town.dialled == [HOME, second]

    run_virtually(story())


def test_where_nobody_confirms_the_last_reason_is_told(town: Town) -> None:
    async def story() -> None:
        first, second, third = STEP.addresses
        await town.answer(first, says(frame.REFUSAL, Refusal(kind="", text="we greet nobody")))
        await town.answer(third, says(frame.REFUSAL, Refusal(kind="", text="nor do we")))
        why = await call_back(STEP, town.dial, limit_s=LIMIT_S)
        assert why == "at 10.0.0.8:2380 nor do we"
        assert town.dialled == [first, second, third], "each was asked"

    run_virtually(story())


def test_what_is_no_answer_confirms_nothing(town: Town) -> None:
    async def story() -> None:
        step = CallBack(2, (HOME,), ONE)
        await town.answer(HOME, says(frame.WELCOME, Confirmed()))
        why = await call_back(step, town.dial, limit_s=LIMIT_S)
        assert why.startswith("at 10.0.0.2:2380 it cannot be asked: frame kind")

    run_virtually(story())


def test_who_has_no_address_cannot_be_asked(town: Town) -> None:
    async def story() -> None:
        assert await call_back(CallBack(2, (), ONE), town.dial, limit_s=LIMIT_S)
        assert town.dialled == []

    run_virtually(story())


def test_silence_is_waited_for_within_the_limit_however_many_are_asked(town: Town) -> None:
    """Each address has its part of it: one that is silent must not use up what the others need."""

    async def story() -> None:
        for address in STEP.addresses[:2]:
            await town.answer(address, is_silent)
        await town.answer(STEP.addresses[2], says(frame.CONFIRMED, Confirmed()))
        begun_s = virtual_loop().time()
        assert await call_back(STEP, town.dial, limit_s=LIMIT_S) == ""
        assert virtual_loop().time() - begun_s < LIMIT_S

    run_virtually(story())


def test_no_call_back_leaves_a_connection_open(town: Town) -> None:
    async def story() -> None:
        first, second, third = STEP.addresses
        await town.answer(first, is_silent)
        await town.answer(second, says(frame.WELCOME, Confirmed()))
        await town.answer(third, says(frame.CONFIRMED, Confirmed()))
        assert await call_back(STEP, town.dial, limit_s=LIMIT_S) == ""
        assert len(town.streams) == 3
        assert all(it.connection.fileno() < 0 for it in town.streams)

    run_virtually(story())
