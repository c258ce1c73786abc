"""A network that a program brings may do anything: connections end by it, and no member."""

import random
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from roost.peer import BorrowedNetwork, Connection, HandshakeRefused, Listener
from roost.peer.local import Address
from roost.sim import conformance
from roost.sim.conformance import Ways
from roost.sim.members.loop import run_virtually
from roost.sim.members.network import Host, SimNetwork
from tests.member.members import Cluster, Network, look_again

HERE, THERE, NOWHERE = ((f"10.0.0.{it}", 2380) for it in (1, 2, 3))


class NoSocketAtAll(Exception):
    """What a library of somebody's raises."""


def fail(*_given: object) -> Any:
    raise NoSocketAtAll("it is not ours to say why")


class Lying:
    """A connection of which one method is another one."""

    def __init__(self, inner: Connection, lies: Mapping[str, Callable[..., Any]]) -> None:
        self._inner, self._lies = inner, lies

    def __getattr__(self, name: str) -> Any:
        return self._lies.get(name) or getattr(self._inner, name)


class LyingNetwork:
    """As another one, whose connections are what `made` makes of them."""

    def __init__(self, inner: Host, made: Callable[[Connection], Any]) -> None:
        self._inner, self._made = inner, made

    async def listen(
        self, address: Address, on_come: Callable[[Connection, str], None]
    ) -> Listener:
        return await self._inner.listen(address, lambda it, host: on_come(self._made(it), host))

    async def connect(self, address: Address) -> tuple[Connection, str]:
        connection, host = await self._inner.connect(address)
        return self._made(connection), host

    def shown(self, connection: Connection) -> None: ...


def lying(inner: Host, **lies: Callable[..., Any]) -> BorrowedNetwork:
    return BorrowedNetwork(LyingNetwork(inner, lambda it: Lying(it, lies)))


def hosts() -> tuple[Host, Host]:
    network = SimNetwork(random.Random(1), delay_s_mean=0.001)
    return Host(network, HERE), Host(network, THERE)


@pytest.mark.parametrize("check", conformance.NETWORK, ids=lambda it: str(it.__name__))
def test_what_is_asked_of_networks_holds_of_a_borrowed_one(
    check: Callable[[Ways], Awaitable[None]],
) -> None:
    async def main() -> None:
        here, there = map(BorrowedNetwork, hosts())
        await check(Ways(here, there, HERE, THERE, NOWHERE))

    run_virtually(main())


@pytest.mark.parametrize(
    ("lies", "ask"),
    [
        ({"send": fail}, lambda it: it.send(b"abc")),
        ({"send": lambda _: 0}, lambda it: it.send(b"abc")),
        ({"send": lambda _: 4}, lambda it: it.send(b"abc")),
        ({"send": lambda _: None}, lambda it: it.send(b"abc")),
        ({"sendmsg": fail}, lambda it: it.sendmsg([b"abc"])),
        ({"sendmsg": lambda _: -1}, lambda it: it.sendmsg([b"abc", b"d"])),
        ({"recv": fail}, lambda it: it.recv(10)),
        ({"recv": lambda _: "text"}, lambda it: it.recv(10)),
        ({"recv": lambda _: None}, lambda it: it.recv(10)),
    ],
)
def test_what_a_connection_does_wrong_is_that_it_is_broken(
    lies: dict[str, Callable[..., Any]], ask: Callable[[Connection], object]
) -> None:
    async def main() -> None:
        here, there = hosts()
        await there.listen(THERE, lambda _connection, _host: None)
        connection, _ = await lying(here, **lies).connect(THERE)
        with pytest.raises(OSError, match="the network of this program cannot"):
            ask(connection)
        connection.close()

    run_virtually(main())


def test_a_network_that_fails_otherwise_is_one_that_cannot_be_used() -> None:
    class Broken:
        listen = connect = shown = fail

    async def main() -> None:
        broken = BorrowedNetwork(Broken())
        with pytest.raises(OSError, match="NoSocketAtAll"):
            await broken.listen(HERE, lambda _connection, _host: None)
        with pytest.raises(OSError, match="NoSocketAtAll"):
            await broken.connect(HERE)

        here, there = hosts()
        came: list[Connection] = []
        await BorrowedNetwork(there).listen(THERE, lambda it, _host: came.append(it))
        await here.connect(THERE)
        while not came:
            await look_again()
        with pytest.raises(HandshakeRefused, match="NoSocketAtAll"):
            broken.shown(came[0])
        for wrong in (-1, "seven"):
            with pytest.raises(OSError, match="no descriptor"):
                await lying(here, fileno=lambda wrong=wrong: wrong).connect(THERE)

    run_virtually(main())


@pytest.mark.parametrize(("lie", "often"), [("send", 47), ("recv", 47), ("close", 2)])
def test_members_on_a_network_that_lies_now_and_then_go_on(
    lie: str, often: int, tmp_path: Path
) -> None:
    count = 0

    class Now(Lying):
        def __getattr__(self, name: str) -> Any:
            nonlocal count
            count += name.startswith(lie)
            return fail if name.startswith(lie) and not count % often else super().__getattr__(name)

    class LyingMachines(Network):
        def machine(self, url: str) -> Any:
            world = super().machine(url)
            if isinstance(world.network, Host):
                inner = LyingNetwork(world.network, lambda it: Now(it, {}))
                world.network = BorrowedNetwork(inner)
            return world

    async def main() -> None:
        cluster = Cluster(tmp_path, 3, network=LyingMachines())
        await cluster.start_all()
        for number in range(9):
            await cluster.put(number % 3, b"%d" % number, b"there")
        for number in range(9):
            assert await cluster.get(number % 3, b"%d" % number) == b"there"
        await cluster.stop_all()

    run_virtually(main())
    assert count > often, "it has lied"
