"""Links that begin as HTTP/1.1: they are a network, and who does otherwise is told."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from roost.peer import (
    Connection,
    HandshakeRefused,
    MalformedFrame,
    Network,
    OsNetwork,
    PeerTls,
    UpgradedNetwork,
)
from roost.peer.frame import HANDSHAKE_BYTES_MAX
from roost.peer.framing import FrameReader
from roost.peer.upgrade import HEAD_BYTES_MAX, HEAD_S, PENDING_MAX
from roost.peer.waiting import receive, send_all
from roost.sim import conformance
from roost.sim.conformance import Ways
from roost.sim.members.loop import run_virtually, until_idle
from roost.sim.members.network import Host, SimNetwork
from roost.testing.plugin import MakeCluster
from roost.testing.ports import free_ports
from roost.tls import TlsFiles
from tests.integration.certificates import Authority

HERE, THERE, NOWHERE = ((f"10.0.0.{it}", 2380) for it in (1, 2, 3))
ASKED = (
    b"GET /roost/peer HTTP/1.1\r\nHost: 10.0.0.2:2380\r\n"
    b"Connection: Upgrade\r\nUpgrade: roost-peer/1\r\n\r\n"
)
AGREED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: roost-peer/1\r\n\r\n"
NetworkCheck = Callable[[Ways], Awaitable[None]]


def hosts(window_bytes: int = 64 << 10) -> tuple[Host, Host]:
    network = SimNetwork(random.Random(1), delay_s_mean=0.001, window_bytes=window_bytes)
    return Host(network, HERE), Host(network, THERE)


@pytest.mark.parametrize("window_bytes", [100, 256 << 10])
@pytest.mark.parametrize("check", conformance.NETWORK, ids=lambda it: str(it.__name__))
def test_it_is_a_network(check: NetworkCheck, window_bytes: int) -> None:
    async def main() -> None:
        here, there = map(UpgradedNetwork, hosts(window_bytes))
        await check(Ways(here, there, HERE, THERE, NOWHERE))

    run_virtually(main())


def run_check(check: NetworkCheck, tls: PeerTls | None) -> None:
    async def main() -> None:
        here, there, nowhere = (("127.0.0.1", port) for port in free_ports(3))
        one, other = (UpgradedNetwork(OsNetwork(tls)) for _ in range(2))
        await check(Ways(one, other, here, there, nowhere))

    asyncio.run(main())


@pytest.mark.parametrize("check", conformance.NETWORK, ids=lambda it: str(it.__name__))
def test_it_is_one_of_the_operating_systems(check: NetworkCheck) -> None:
    run_check(check, None)


# What TLS does otherwise, whoever upgrades: a record that was read wakes nobody for its rest, and
# what could not be sent has to be sent again as it was.
NOT_BY_TLS = ("a_reader_is_told_that_something_has_come", "who_sends_more_than_is_read_is_told")


@pytest.mark.slow
@pytest.mark.parametrize(
    "check",
    [it for it in conformance.NETWORK if it.__name__ not in NOT_BY_TLS],
    ids=lambda it: str(it.__name__),
)
def test_it_is_one_by_tls(check: NetworkCheck, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.sign("any name")
    files = TlsFiles(
        cert_file=str(pair.certificate),
        key_file=str(pair.key),
        ca_file=str(authority.path),
        needs_certificate=True,
    )
    run_check(check, PeerTls(files))


async def said_by(connection: Connection) -> bytes:
    """All that comes until the end."""
    loop, said = asyncio.get_running_loop(), b""
    while data := await receive(loop, connection, 65536):
        said += data
    return said


def with_acceptor(story: Callable[[Network, list[str]], Coroutine[Any, Any, None]]) -> None:
    """Somebody listens for upgrades; `story` dials without any, and knows who came."""

    async def main() -> None:
        here, there = hosts()
        came: list[str] = []
        listener = await UpgradedNetwork(there).listen(THERE, lambda _, host: came.append(host))
        await story(here, came)
        listener.close()

    run_virtually(main())


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (b"\x01\x02\x03\x04RP\xf0\0" + bytes(4), b"no HTTP: --peer-http-upgrade is set here"),
        (ASKED.replace(b"/roost/peer", b"/v3/kv/put"), b"nothing else is served"),
        (ASKED.replace(b"GET", b"GIT"), b"nothing else is served"),
        (ASKED.replace(b"roost-peer/1", b"websocket"), b"nothing else is served"),
        (ASKED.replace(b"Connection: Upgrade", b"Connection: close"), b"nothing else is served"),
        (ASKED + b"more", b"something follows"),
        (ASKED.replace(b"Host: ", b"Host "), b"is no field"),
        (ASKED.replace(b"Host: ", b" Host: "), b"is no field"),
        (ASKED.replace(b"10.0", b"\xff"), b"not ASCII"),
        (b"GET /" + bytes(HEAD_BYTES_MAX) + b"\r\n", b"a head of more than"),
    ],
)
def test_who_asks_for_something_else_is_told_why(asked: bytes, said: bytes) -> None:
    async def story(here: Network, came: list[str]) -> None:
        connection, _ = await here.connect(THERE)
        await send_all(asyncio.get_running_loop(), connection, asked)
        answer = await said_by(connection)
        assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert said in answer
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"Content-Length: %d" % len(body) in head
        assert came == []
        connection.close()

    with_acceptor(story)


def test_a_proxy_may_add_fields_and_write_them_as_it_likes() -> None:
    async def story(here: Network, came: list[str]) -> None:
        connection, _ = await here.connect(THERE)
        added = b"Via: 1.1 proxy\r\nconnection:keep-alive, upgrade"
        asked = ASKED.replace(b"Connection: Upgrade", added)
        await send_all(asyncio.get_running_loop(), connection, asked)
        assert await receive(asyncio.get_running_loop(), connection, 65536) == AGREED
        await until_idle()
        assert came == ["10.0.0.1"]
        connection.close()

    with_acceptor(story)


def test_who_says_nothing_is_not_waited_for() -> None:
    async def story(here: Network, came: list[str]) -> None:
        loop = asyncio.get_running_loop()
        connection, _ = await here.connect(THERE)
        await send_all(loop, connection, ASKED[:20])
        began_s = loop.time()
        assert await said_by(connection) == b""
        assert HEAD_S - 1 < loop.time() - began_s < HEAD_S + 1
        assert came == []
        connection.close()

    with_acceptor(story)


def test_there_is_a_bound_on_those_who_say_nothing() -> None:
    async def story(here: Network, _came: list[str]) -> None:
        loop = asyncio.get_running_loop()
        waiting = [(await here.connect(THERE))[0] for _ in range(PENDING_MAX)]
        await until_idle()
        began_s = loop.time()
        late, _ = await here.connect(THERE)
        assert await said_by(late) == b""
        assert loop.time() - began_s < HEAD_S / 2, "it was sent away, and not waited for"
        for it in (*waiting, late):
            it.close()

    with_acceptor(story)


def dialled(answer: bytes) -> BaseException | None:
    """What dialling says of whoever answers that."""
    found: list[BaseException] = []

    async def main() -> None:
        here, there = hosts()
        came: list[Connection] = []
        listener = await there.listen(THERE, lambda connection, _: came.append(connection))
        task = asyncio.ensure_future(UpgradedNetwork(here).connect(THERE))
        while not came:
            await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        assert await receive(loop, came[0], 65536) == ASKED
        await send_all(loop, came[0], answer)
        if not answer:
            came[0].close()
        try:
            connection, host = await task
            assert host == "10.0.0.2"
            connection.close()
        except (OSError, HandshakeRefused) as error:
            found.append(error)
        came[0].close()
        listener.close()

    run_virtually(main())
    return found[0] if found else None


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (b"", ConnectionResetError, "in the middle"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", ConnectionRefusedError, "502 Bad Gateway"),
        (b"HTTP/1.1 200 OK\r\n\r\n", HandshakeRefused, "200 OK"),
        (AGREED.replace(b"roost-peer/1", b"h2c"), HandshakeRefused, "101"),
        (AGREED + b"x", HandshakeRefused, "something follows"),
        (b"RPRPRP", HandshakeRefused, "must be on all"),
    ],
)
def test_what_is_no_agreement_is_said(answer: bytes, kind: type[Exception], said: str) -> None:
    error = dialled(answer)
    assert isinstance(error, kind)
    assert said in str(error)


def test_an_agreement_is_a_connection() -> None:
    assert dialled(AGREED) is None


def test_a_member_that_is_asked_for_none_says_so() -> None:
    reader = FrameReader(HANDSHAKE_BYTES_MAX)
    with pytest.raises(MalformedFrame, match="--peer-http-upgrade is set on all members"):
        reader.feed(ASKED)


@pytest.mark.slow
@pytest.mark.cluster
def test_members_that_upgrade_are_a_cluster(roost_cluster: MakeCluster) -> None:
    cluster = roost_cluster(3, "--peer-http-upgrade")
    first = cluster.leader
    with cluster.client() as client:
        client.put("a", "1")
        cluster.kill(first)
        assert cluster.leader != first
        cluster.restart(first)
        with cluster[first].client() as there:
            item = there.get("a")
            assert item is not None
            assert item.value == b"1"
