"""Links over real sockets on loopback: handshakes refused by name, order, bounds, reconnects."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from roost.errors import PeerFault
from roost.peer import (
    Invitation,
    Join,
    Known,
    Life,
    LocalPeer,
    OsNetwork,
    PeerConfig,
    PeerTls,
    RefusedThere,
    RemovedMember,
    Secrets,
    Transport,
)
from roost.peer.accepting import Accepted, make_room
from roost.peer.errors import (
    AlreadyBootstrapped,
    UnprovenMember,
    WrongCluster,
    WrongIncarnation,
    WrongMember,
    WrongVersion,
)
from roost.peer.frame import HANDSHAKE_BYTES_MAX, encode
from roost.peer.greeting import CallBack
from roost.peer.sockets import literal_of
from roost.testing.ports import free_ports

SHARED = Secrets([b"a secret of members"])


class LowDice:
    """No back-off beyond the least; nonces are never drawn twice."""

    def __init__(self) -> None:
        self.drawn = 0

    def below(self, n: int) -> int:
        self.drawn += 1
        return (id(self) << 32 | self.drawn) % n if n > 1 << 64 else 0


def nobody_joins(_join: Join) -> tuple[Invitation, Known]:
    raise WrongMember("nobody was added")


class Peer:
    """One transport and what it was told."""

    def __init__(
        self,
        member_id: int,
        addresses: Sequence[tuple[str, int]] = (),
        *,
        life: Life | None = None,
        secrets: Secrets | None = None,
        tls: PeerTls | None = None,
        **changes: int,
    ) -> None:
        identity = {"cluster_id": 9, "protocol_version": 1, "storage_version": 1}
        listen_port = changes.pop("listen_port", 0)
        identity |= changes
        self.asked_about: list[int] = []
        self.frames: list[tuple[int, int, bytes]] = []
        self.refusals: list[Exception] = []
        self.proven: list[bool] = []
        self.unreachable: list[int] = []
        self.connected: list[int] = []
        self.fault: PeerFault | None = None
        self.id = member_id
        self.transport = Transport(
            local=LocalPeer(
                member_id=member_id, addresses=tuple(addresses),
                life=life or Life(1, 5, member_id), **identity,
            ),
            listen=[("127.0.0.1", listen_port)],
            config=PeerConfig(
                backoff_ms_min=2, backoff_ms_max=20, handshake_ms_max=300,
                queue_bytes_max=4 << 20, half_open_host_max=8,
            ),
            dice=LowDice(),
            on_frame=self._on_frame,
            on_batch_end=lambda: None,
            on_connected=self.connected.append,
            on_unreachable=self.unreachable.append,
            on_refused=self._on_refused,
            on_pull=lambda stream, _asked: stream.close(),
            on_join=lambda stream, _asked: stream.close(),
            is_removed=lambda member: member == 66,
            invite=nobody_joins,
            ask_about=self.asked_about.append,
            secrets=secrets,
            network=OsNetwork(tls),
        )  # fmt: skip

    def _on_refused(self, _member_id: int, said: RefusedThere) -> None:
        self.refusals.append(said.refusal)
        self.proven.append(said.is_proven)

    def _on_frame(self, sender: int, kind: int, body: bytes) -> None:
        if self.fault is not None:
            raise self.fault
        self.frames.append((sender, kind, body))

    @property
    def address(self) -> tuple[str, int]:
        return self.transport.addresses[0]

    def is_linked_to(self, other: "Peer") -> bool:
        return all(link.is_open for link in self.transport._links[other.id])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


def run(story: Callable[..., Awaitable[None]], *peers: Peer, linked: bool = True) -> None:
    async def main() -> None:
        for peer in peers:
            await peer.transport.start()
        for peer in peers:
            for other in peers:
                if other is not peer:
                    peer.transport.add_peer(other.id, [other.address])
        try:
            if linked:
                for peer in peers:
                    for other in peers:
                        if other is not peer:
                            await until(lambda a=peer, b=other: a.is_linked_to(b))  # type: ignore[misc]
            await story(*peers)
        finally:
            for peer in peers:
                await peer.transport.close()
        assert not [it for it in asyncio.all_tasks() if it is not asyncio.current_task()]

    asyncio.run(main())


def test_frames_arrive_in_order_on_both_channels() -> None:
    async def story(a: Peer, b: Peer) -> None:
        for number in range(300):
            assert a.transport.send(b.id, encode(1, [b"%d" % number]), bulk=False)
            assert a.transport.send(b.id, encode(2, [b"%d" % number, b"!"]), bulk=True)
        await until(lambda: len(b.frames) == 600)
        assert [it for it in b.frames if it[1] == 1] == [(a.id, 1, b"%d" % n) for n in range(300)]
        assert [it for it in b.frames if it[1] == 2] == [(a.id, 2, b"%d!" % n) for n in range(300)]

    run(story, Peer(1), Peer(2))


def test_a_large_entry_does_not_hold_up_control_frames() -> None:
    async def story(a: Peer, b: Peer) -> None:
        assert a.transport.send(b.id, encode(2, [bytes(40 << 20)]), bulk=True)
        assert a.transport.send(b.id, encode(1, [b"beat"]), bulk=False)
        await until(lambda: len(b.frames) == 2)
        assert [kind for _, kind, _ in b.frames] == [1, 2]
        assert len(b.frames[1][2]) == 40 << 20

    run(story, Peer(1), Peer(2))


def test_a_full_queue_drops_and_says_so() -> None:
    async def story(a: Peer, b: Peer) -> None:
        taken = [a.transport.send(b.id, encode(2, [bytes(1 << 20)]), bulk=True) for _ in range(40)]
        assert not all(taken)
        assert a.transport.statistics.dropped_count == taken.count(False)
        await until(lambda: len(b.frames) == taken.count(True))
        await until(lambda: a.transport.queued_bytes() == 0)
        assert a.transport.send(b.id, encode(2, [b"again"]), bulk=True)

    run(story, Peer(1), Peer(2))


def test_to_nobody_nothing_is_sent() -> None:
    async def story(a: Peer) -> None:
        assert not a.transport.send(77, encode(1, [b"x"]), bulk=False)

    run(story, Peer(1))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"cluster_id": 8}, WrongCluster),
        ({"protocol_version": 2}, WrongVersion),
        ({"storage_version": 2}, WrongVersion),
    ],
)
def test_strangers_are_refused_by_name(changes: dict[str, int], error: type[Exception]) -> None:
    async def story(a: Peer, b: Peer) -> None:
        await until(lambda: bool(a.refusals) and bool(b.refusals))
        assert {type(it) for it in a.refusals + b.refusals} == {error}
        assert not a.is_linked_to(b)

    run(story, Peer(1), Peer(2, (), life=None, secrets=None, tls=None, **changes), linked=False)


def test_a_refusal_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async def story(a: Peer) -> None:
        for _ in range(3):
            a.transport.note_refused("host", WrongCluster("another"))
        a.transport._refused_log_s -= 3600  # an hour later
        a.transport.note_refused("host", WrongCluster("another"))

    run(story, Peer(1))
    assert len([it for it in caplog.messages if "a peer at host was refused: another" in it]) == 1


def test_why_a_member_cannot_be_reached_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    dead = free_ports(1)[0]

    async def story(a: Peer, b: Peer) -> None:
        a.transport.add_peer(3, [("127.0.0.1", dead)])
        links = [link for links in a.transport._links.values() for link in links]
        await until(lambda: all(link._failures > 3 for link in links))
        assert not a.is_linked_to(b)

    secrets = Secrets((b"k" * 32,))
    run(story, Peer(1, secrets=secrets), Peer(2), linked=False)
    said = [it for it in caplog.messages if "not believed" in it or "cannot be reached" in it]
    ours = [it for it in said if "member 2" in it or "member 3" in it]
    assert len(ours) == 2, said
    assert any("does not know the secret of --peer-secret-file" in it for it in ours)
    dialled = f"member 3 cannot be reached at 127.0.0.1:{dead}: Connection refused"
    assert dialled in ours


def test_who_is_not_in_the_cluster_and_who_dials_the_wrong_member_is_refused() -> None:
    async def story(a: Peer) -> None:
        stranger = Peer(3)
        await stranger.transport.start()
        stranger.transport.add_peer(1, [a.address])
        await until(lambda: bool(stranger.refusals))
        assert isinstance(stranger.refusals[0], WrongMember)
        assert "is not known here" in str(stranger.refusals[0])
        assert set(a.asked_about) == {3}
        await stranger.transport.close()
        confused = Peer(4)
        await confused.transport.start()
        confused.transport.add_peer(2, [a.address])
        await until(lambda: bool(confused.refusals))
        assert "was meant" in str(confused.refusals[0])
        await confused.transport.close()

    run(story, Peer(1))


def test_with_a_secret_a_member_that_is_newer_than_what_we_know_is_taken_in_and_dialled() -> None:
    """The leader that a lagging member needs may have joined after all it has applied."""

    async def story(a: Peer) -> None:
        port = free_ports(1)[0]
        newcomer = Peer(3, (("127.0.0.1", port),), listen_port=port, secrets=SHARED)
        await newcomer.transport.start()
        newcomer.transport.add_peer(1, [a.address])
        await until(lambda: bool(newcomer.connected) and bool(a.connected))
        assert a.transport.peers() == [3]
        await newcomer.transport.close()

    run(story, Peer(1, secrets=SHARED))


def test_with_a_secret_a_member_that_has_moved_is_dialled_where_it_says_it_is() -> None:
    """All others may have moved while a member was away: the roster it has finds nobody."""

    async def story(a: Peer) -> None:
        old, new = ("127.0.0.1", free_ports(1)[0]), ("127.0.0.1", free_ports(1)[0])
        moved = Peer(3, (new,), listen_port=new[1], secrets=SHARED)
        await moved.transport.start()
        a.transport.add_peer(3, [old])
        moved.transport.add_peer(1, [a.address])
        await until(lambda: a.is_linked_to(moved) and moved.is_linked_to(a))
        a.transport.add_peer(3, [old])  # the roster is applied again, and is no newer
        assert a.transport.addresses_of(3) == [old, new]
        a.transport.add_peer(3, [new])
        a.transport.add_peer(3, [old])  # it knew better once: what was said is over
        assert a.transport.addresses_of(3) == [old]
        await moved.transport.close()

    run(story, Peer(1, secrets=SHARED))


def test_who_greets_in_a_members_name_from_elsewhere_uses_up_none_of_its_calls_back() -> None:
    """A few strangers at a time kept a member out whose answers take a while."""

    async def story(a: Peer) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            step = CallBack(2, (("127.0.0.1", silent.getsockname()[1]),), b"n" * 16)
            calls = [
                asyncio.create_task(a.transport.call_back(step, "127.0.0.9"))
                for _ in range(a.transport.config.call_back_count_max)
            ]
            await asyncio.sleep(0)
            assert "too many" in await a.transport.call_back(step, "127.0.0.9")
            own = asyncio.create_task(a.transport.call_back(step, "127.0.0.1"))
            loop = asyncio.get_running_loop()
            silent.setblocking(False)
            for _ in range(len(calls) + 1):
                connection, _ = await loop.sock_accept(silent)
                connection.close()
            assert "too many" not in await own
            await asyncio.gather(*calls)

    run(story, Peer(1))


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
        b = Peer(2)
        await b.transport.start()
        b.transport.add_peer(1, [a.address])
        a.transport.add_peer(2, [("two.example", b.address[1])])
        await until(lambda: a.is_linked_to(b))
        await b.transport.close()

    run(story, Peer(1))


def test_more_members_than_the_bound_are_refused() -> None:
    async def story(a: Peer) -> None:
        a.transport.config = replace(a.transport.config, peer_count_max=0)
        newcomer = Peer(3, (("127.0.0.1", 1),), secrets=SHARED)
        await newcomer.transport.start()
        newcomer.transport.add_peer(1, [a.address])
        await until(lambda: bool(newcomer.refusals))
        assert "too many" in str(newcomer.refusals[0])
        await newcomer.transport.close()

    run(story, Peer(1, secrets=SHARED))


def test_a_removed_member_is_told_so() -> None:
    async def story(a: Peer) -> None:
        removed = Peer(66, (("127.0.0.1", 1),))
        await removed.transport.start()
        removed.transport.add_peer(1, [a.address])
        await until(lambda: bool(removed.refusals))
        assert isinstance(removed.refusals[0], RemovedMember)
        await removed.transport.close()

    run(story, Peer(1))


def test_an_older_incarnation_is_refused() -> None:
    """Checklist 1, 97: a log that went back belongs to another life, and is not listened to."""

    async def story(a: Peer, b: Peer) -> None:
        _, port = b.address
        await b.transport.close()
        older = Peer(2, life=Life(1, 4, 2), listen_port=port)
        await older.transport.start()
        older.transport.add_peer(1, [a.address])
        await until(lambda: bool(older.refusals))
        assert isinstance(older.refusals[0], WrongIncarnation)
        await older.transport.close()

    run(story, Peer(1), Peer(2))


def test_a_stranger_that_greets_as_a_member_is_refused_and_harms_nobody() -> None:
    """Issue 12, A1 and A3: it said incarnation 2^63, and the real one was a copy from then on."""

    async def story(a: Peer, b: Peer) -> None:
        stranger = Peer(2, life=Life(1, 1 << 62, 66))
        await stranger.transport.start()
        stranger.transport.add_peer(1, [a.address])
        await until(lambda: bool(stranger.refusals))
        assert isinstance(stranger.refusals[0], UnprovenMember)
        assert not stranger.is_linked_to(a)
        again = Peer(2, life=Life(1, 6, 3))
        again.transport._listen = [b.address]
        await b.transport.close()
        # Not even now: whoever greets as member 2 must be where member 2 is.
        before = len(stranger.refusals)
        await until(lambda: len(stranger.refusals) > before + 2)
        assert not stranger.is_linked_to(a)
        await again.transport.start()
        again.transport.add_peer(1, [a.address])
        await until(lambda: a.is_linked_to(again) and again.is_linked_to(a))
        assert a.frames == []
        await stranger.transport.close()
        await again.transport.close()

    run(story, Peer(1), Peer(2))


def test_a_second_directory_of_a_member_is_refused_by_etcds_text_and_the_first_goes_on() -> None:
    """Issue 12, A4: its newer incarnation outranked that of the healthy member, which ended."""

    async def story(a: Peer, b: Peer) -> None:
        newcomer = Peer(2, life=Life(2, 1 << 62, 5))
        await newcomer.transport.start()
        newcomer.transport.add_peer(1, [a.address])
        await until(lambda: bool(newcomer.refusals))
        assert isinstance(newcomer.refusals[0], AlreadyBootstrapped)
        assert str(newcomer.refusals[0]) == "member 2 has already been bootstrapped"
        await newcomer.transport.close()
        assert b.refusals == []
        assert a.transport.send(2, encode(1, [b"x"]), bulk=False)
        assert b.transport.send(1, encode(1, [b"y"]), bulk=False)
        await until(lambda: bool(a.frames) and bool(b.frames))

    run(story, Peer(1), Peer(2))


def test_silent_connections_keep_no_member_from_coming_back() -> None:
    """Issue 12, A7: 64 idle connections held every place of those who have not greeted."""

    async def story(a: Peer, b: Peer) -> None:
        a.transport.config = replace(a.transport.config, handshake_ms_max=60_000)
        silent = [await asyncio.open_connection(*a.address) for _ in range(200)]
        port = b.address
        await b.transport.close()
        again = Peer(2, life=Life(1, 6, 3))
        again.transport._listen = [port]
        await again.transport.start()
        again.transport.add_peer(1, [a.address])
        await until(lambda: again.is_linked_to(a) and a.is_linked_to(again))
        assert sum(it.hello is None for it in a.transport._accepted) > 1
        for _, writer in silent:
            writer.close()
        await again.transport.close()

    run(story, Peer(1), Peer(2))


def test_the_refusal_of_somebody_who_does_not_know_the_secret_is_not_proven() -> None:
    """Nobody ends itself because of a stranger at the address of a member that is down."""

    async def story(a: Peer, b: Peer) -> None:
        port = b.address
        await b.transport.close()
        stranger = Peer(2, secrets=Secrets([b"what strangers guess"]))
        stranger.transport._listen = [port]
        await stranger.transport.start()
        await until(lambda: bool(a.refusals))
        assert a.proven == [False] * len(a.proven)
        await stranger.transport.close()

    run(story, Peer(1, secrets=SHARED), Peer(2, secrets=SHARED))


def waiting(*hosts: str, spoken: Sequence[int] = ()) -> list[Accepted]:
    made = []
    for number, host in enumerate(hosts):
        accepted = Accepted(Peer(1).transport, None, host)  # type: ignore[arg-type]  # never read
        accepted.has_spoken = number in spoken
        made.append(accepted)
    return made


def test_a_new_connection_takes_the_place_of_the_oldest_that_is_silent() -> None:
    config = PeerConfig(half_open_count_max=4, half_open_host_max=2)
    known = frozenset({"m"})
    for held, host, leaving in (
        (["a", "b", "c"], "d", None),
        (["a", "b", "c", "d"], "e", 0),
        (["a", "a", "b"], "a", 0),
        (["b", "a", "a"], "a", 1),
        (["a", "b", "c", "d"], "m", None),
        (["m", "m", "c", "d"], "e", None),
        (["a", "m", "m"], "m", 1),
    ):
        them = waiting(*held)
        assert make_room(them, host, known, config) is (
            None if leaving is None else them[leaving]
        ), (held, host)
    them = waiting("a", "b", "c", "d", spoken=(0, 2))
    assert make_room(them, "e", known, config) is them[1]
    them = waiting("a", "a", spoken=(0, 1))
    assert make_room(them, "a", known, config) is them[0]


def test_a_peer_that_comes_back_is_linked_again_and_its_loss_was_told() -> None:
    async def story(a: Peer, b: Peer) -> None:
        port = b.address
        await b.transport.close()
        await until(lambda: b.id in a.unreachable)
        assert not a.is_linked_to(b)
        again = Peer(2)
        again.transport._listen = [port]
        await again.transport.start()
        again.transport.add_peer(1, [a.address])
        await until(lambda: a.is_linked_to(again))
        assert a.transport.send(2, encode(1, [b"hello again"]), bulk=False)
        await until(lambda: bool(again.frames))
        await again.transport.close()

    run(story, Peer(1), Peer(2))


def test_a_fault_of_the_owner_closes_that_link_only() -> None:
    async def story(a: Peer, b: Peer) -> None:
        b.fault = PeerFault("nonsense")
        a.transport.send(b.id, encode(1, [b"x"]), bulk=False)
        await until(lambda: b.transport.statistics.malformed_count == 1)
        b.fault = None
        await until(lambda: a.is_linked_to(b))
        a.transport.send(b.id, encode(1, [b"y"]), bulk=False)
        await until(lambda: b.frames == [(1, 1, b"y")])

    run(story, Peer(1), Peer(2))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        bytes(4) + b"RP\xf0\0" + (HANDSHAKE_BYTES_MAX + 1).to_bytes(4, "big"),
        b"".join(encode(1, [b"no hello"])),
        b"".join(encode(240, [b"\xff" * 8])),
    ],
)
def test_who_does_not_say_hello_is_closed(data: bytes) -> None:
    async def story(a: Peer) -> None:
        reader, writer = await asyncio.open_connection(*a.address)
        writer.write(data)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()
        assert a.frames == []

    run(story, Peer(1))


def test_silent_connections_are_bounded_and_closed_in_time() -> None:
    async def story(a: Peer, b: Peer) -> None:
        silent = [socket.create_connection(a.address) for _ in range(30)]
        await until(lambda: len(a.transport._accepted) > 2)
        await until(lambda: len(a.transport._accepted) <= 10)
        assert a.is_linked_to(b)
        await until(lambda: len(a.transport._accepted) == 2)
        for sock in silent:
            sock.close()

    run(story, Peer(1), Peer(2))
