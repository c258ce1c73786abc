"""Member 1 with a roster and a transport that remember, and no cluster around it."""

from pathlib import Path

import msgspec

from roost.member import MemberConfig
from roost.member.cluster.neighbours import Neighbours
from roost.member.cluster.roster import MemberRecord
from roost.member.cluster.vouching import Vouched, Vouching
from roost.peer.framing import HEAD
from roost.peer.lives import Lives

OWN, PEER, NEW, GONE = 1, 2, 5, 66


def url(number: int) -> tuple[str, ...]:
    return (f"http://10.0.0.{number}:2380",)


class FakeRoster:
    """Members 1 and 2; 66 was removed."""

    def __init__(self) -> None:
        self.held = {it: MemberRecord(id=it, name=f"m{it}", peer_urls=url(it)) for it in (1, 2)}

    def records(self) -> list[MemberRecord]:
        return list(self.held.values())

    linked = records

    def record_of(self, member_id: int) -> MemberRecord | None:
        return self.held.get(member_id)

    def names_of(self, member_id: int) -> tuple[str, ...]:
        return (f"m{member_id}",)

    def is_removed(self, member_id: int) -> bool:
        return member_id == GONE


class FakeTransport:
    """Remembers what is dialled and sent."""

    def __init__(self) -> None:
        self.links: dict[int, list[tuple[str, int]]] = {}
        self.sent: list[tuple[int, int, bytes]] = []
        self.lives = Lives(lambda member_id: (20, 1) if member_id == PEER else (0, 0))
        self.full = False

    def peers(self) -> list[int]:
        return list(self.links)

    def add_peer(self, member_id: int, addresses: list[tuple[str, int]]) -> None:
        self.links[member_id] = addresses

    def remove_peer(self, member_id: int) -> None:
        del self.links[member_id]

    def is_full(self) -> bool:
        return self.full

    def send(self, member_id: int, encoded: list[bytes], *, bulk: bool) -> bool:
        assert not bulk
        whole = b"".join(encoded)
        _, kind, *_ = HEAD.unpack_from(whole)
        self.sent.append((member_id, kind, whole[HEAD.size :]))
        return True


class Story:
    """Neighbours of member 1, which has applied entry 10."""

    def __init__(self) -> None:
        self.roster, self.transport = FakeRoster(), FakeTransport()
        self.applied, self.now_s = 10, 100.0
        config = MemberConfig(
            name="m1", data_dir=Path("m1"), initial_cluster={}, advertise_peer_urls=url(1),
            listen_peer_urls=url(1),
        )  # fmt: skip
        self.vouching = Vouching(
            self.roster,  # type: ignore[arg-type]  # as much of it as is asked for
            own_id=OWN,
            applied_index=lambda: self.applied,
            clock_s=lambda: self.now_s,
        )
        self.neighbours = Neighbours(
            self.roster,  # type: ignore[arg-type]  # as much of it as is asked for
            self.vouching,
            own_id=OWN,
            cluster_id=9,
            config=config,
            transact=lambda _name, _body, _done: None,
            remember=lambda _urls: None,
        )
        self.vouching.transport = self.transport  # type: ignore[assignment]  # the same
        self.neighbours.transport = self.transport  # type: ignore[assignment]  # the same
        self.neighbours.follow()

    def vouch(self, member_id: int, index: int, at: int | None = None) -> None:
        record = MemberRecord(id=member_id, name="new", peer_urls=url(at or member_id))
        self.vouching.on_who_is(PEER, msgspec.json.encode(Vouched(index, record)))
