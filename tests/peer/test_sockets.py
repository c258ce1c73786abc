"""What only real sockets show: names with several addresses, and who dials from where."""

import asyncio
import socket
import subprocess
import sys

import pytest

from roost.peer.greeting import CallBack
from roost.peer.sockets import literal_of
from tests.peer.peers import Peer, on_loopback, run, until


def test_who_greets_in_a_members_name_from_elsewhere_uses_up_none_of_its_calls_back() -> None:
    """A few strangers at a time kept a member out whose answers take a while."""

    async def story(a: Peer) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            step = CallBack(2, (("127.0.0.1", silent.getsockname()[1]),), b"n" * 16)
            calls = [
                asyncio.create_task(a.transport.greeter.call_back(step, "127.0.0.9"))
                for _ in range(a.transport.gate.config.call_back_count_max)
            ]
            while sum(a.transport.greeter._calls_back.values()) < len(calls):
                await asyncio.sleep(0)
            assert "too many" in await a.transport.greeter.call_back(step, "127.0.0.9")
            own = asyncio.create_task(a.transport.greeter.call_back(step, "127.0.0.1"))
            loop = asyncio.get_running_loop()
            silent.setblocking(False)
            for _ in range(len(calls) + 1):
                connection, _ = await loop.sock_accept(silent)
                connection.close()
            assert "too many" not in await own
            await asyncio.gather(*calls)

    run(story, Peer(1, **on_loopback()), on_loopback=True)


def test_an_ipv4_address_that_an_ipv6_socket_shows_is_that_address() -> None:
    assert literal_of("::ffff:10.0.0.2") == literal_of("::ffff:a00:2") == "10.0.0.2"
    assert literal_of("fe80::0:1") == "fe80::1"
    assert literal_of("fe80::1%eth0") == "fe80::1%eth0"
    assert literal_of("db.example") == "db.example"


def test_every_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name may have an IPv6 address first, at which its member does not listen."""
    resolve = socket.getaddrinfo

    def several(host: str, *more: int, **options: int) -> list[object]:
        hosts = ["127.0.0.2", "127.0.0.1"] if host == "two.example" else [host]
        return [it for literal in hosts for it in resolve(literal, *more, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", several)

    async def story(a: Peer) -> None:
        b = Peer(2, **on_loopback())
        await b.transport.start()
        b.transport.add_peer(1, [a.address])
        a.transport.add_peer(2, [("two.example", b.address[1])])
        await until(lambda: a.is_linked_to(b))
        await b.transport.close()

    run(story, Peer(1, **on_loopback()), on_loopback=True)


@pytest.mark.parametrize("host", ["a" * 64, "two..example", "\udc80"])
def test_a_host_that_no_name_can_be_is_one_that_is_not_there(host: str) -> None:
    """`member add` with one ended both links of every member to it, so none was ever dialled again.

    Nor was it when `member update` had corrected it.
    """

    async def story(a: Peer) -> None:
        b = Peer(2, **on_loopback())
        await b.transport.start()
        b.transport.add_peer(1, [a.address])
        a.transport.add_peer(2, [(host, 2380), b.address])
        await until(lambda: a.is_linked_to(b))
        step = CallBack(2, ((host, 2380),), b"n" * 16)
        said = await a.transport.greeter.call_back(step, "127.0.0.9")
        assert "no name of a host" in said
        await b.transport.close()

    run(story, Peer(1, **on_loopback()), on_loopback=True)


@pytest.mark.slow
def test_a_name_that_is_looked_up_while_the_interpreter_ends_is_a_host_that_is_not_there() -> None:
    program = """
import asyncio, atexit
from roost.peer import OsNetwork

@atexit.register
def dial():
    try:
        asyncio.run(OsNetwork().connect(("localhost", 1)))
    except OSError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("localhost is looked up no more")
