"""Transports of members, on the simulated network unless they are told to use sockets."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

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
    Secrets,
    Transport,
)
from roost.peer.errors import (
    WrongMember,
)
from roost.peer.network import Network
from roost.sim.members.loop import run_virtually
from roost.sim.members.network import Host, SimNetwork
from roost.testing.patience import PATIENCE_S
from tests.member.members import look_again

Address = tuple[str, int]


SHARED = Secrets([b"a secret of members"])


class LowDice:
    """No back-off beyond the least; nonces are never drawn twice."""

    drawn = itertools.count(1)

    def below(self, n: int) -> int:
        return next(self.drawn) if n > 1 << 64 else 0


def nobody_joins(_join: Join) -> tuple[Invitation, Known]:
    raise WrongMember("nobody was added")


class Peer:
    """One transport and what it was told, on a machine of its own unless it is `at` another's."""

    network: SimNetwork
    hosts: dict[Address, Host]

    def __init__(
        self,
        member_id: int,
        addresses: Sequence[tuple[str, int]] = (),
        *,
        life: Life | None = None,
        secrets: Secrets | None = None,
        at: Address | None = None,
        on: Network | None = None,
        handshake_ms_max: int = 300,
        **changes: int,
    ) -> None:
        identity = {"cluster_id": 9, "protocol_version": 1, "storage_version": 1}
        identity |= changes
        self.asked_about: list[int] = []
        self.frames: list[tuple[int, int, bytes]] = []
        self.refusals: list[Exception] = []
        self.proven: list[bool] = []
        self.unreachable: list[int] = []
        self.connected: list[int] = []
        self.fault: PeerFault | MemoryError | None = None
        self.id = member_id
        at = self._at = at or new_address()
        self.transport = Transport(
            local=LocalPeer(
                member_id=member_id, addresses=tuple(addresses),
                life=life or Life(1, 5, member_id), **identity,
            ),
            listen=[at],
            config=PeerConfig(
                backoff_ms_min=2, backoff_ms_max=20, handshake_ms_max=handshake_ms_max,
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
            network=on or self.hosts.setdefault(at, Host(self.network, at)),
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
        return self._at if self._at[1] else self.transport.addresses[0]

    def is_linked_to(self, other: "Peer") -> bool:
        return all(link.is_open for link in self.transport.dialled._links[other.id])


def new_address() -> Address:
    """Where nobody is."""
    return f"10.0.0.{len(Peer.hosts) + 1}", 2380


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await look_again()


def run(
    story: Callable[..., Awaitable[None]],
    *peers: Peer,
    linked: bool = True,
    on_loopback: bool = False,
) -> None:
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
                            await until(lambda a=peer, b=other: a.is_linked_to(b))  # type: ignore[misc]  # bound now
            await story(*peers)
        finally:
            for peer in peers:
                await peer.transport.close()
        assert not [it for it in asyncio.all_tasks() if it is not asyncio.current_task()]

    if on_loopback:
        asyncio.run(main())
    else:
        run_virtually(main())


def run_known(story: Callable[[Peer, Peer], Awaitable[None]], a: Peer, b: Peer) -> None:
    """Run a story in which `a` knows `b`, and calls it back, and `b` knows and dials nobody."""

    async def main(a: Peer) -> None:
        await b.transport.start()
        a.transport.add_peer(b.id, [b.address])
        await story(a, b)
        await b.transport.close()

    run(main, a)


def on_loopback(port: int = 0, tls: PeerTls | None = None) -> dict[str, Any]:
    """Where a peer is that has real sockets, in real time: nobody is late there."""
    patience_ms = round(PATIENCE_S * 1000)
    return {"at": ("127.0.0.1", port), "on": OsNetwork(tls), "handshake_ms_max": patience_ms}
