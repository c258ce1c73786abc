"""Leases, locks and elections, by a client (etcd api: Lease, v3lock, v3election)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from roost.proto import election_pb2, lock_pb2, rpc_pb2

# path, request, class of the answer -> the answer; Any because messages share no useful base.
Ask = Callable[[str, Any, Any], Any]
Listen = Callable[[str, Any, Any], Iterator[Any]]


@dataclass(frozen=True, slots=True)
class TimeToLive:
    """What is left of a lease in seconds, -1 when it is gone; what was granted; its keys."""

    left_s: int
    granted_s: int
    keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Leader:
    """Who leads an election: the key that says so, its create revision and value."""

    name: bytes
    key: bytes
    create_revision: int
    value: bytes
    lease: int


class Leases:
    """Leases, and what rests on them."""

    def __init__(self, ask: Ask, follow: Listen, talk: Listen) -> None:
        """Ask, follow and talk by `Client`'s connection."""
        self._ask = ask
        self._follow = follow
        self._talk = talk

    def grant(self, ttl_s: int, lease_id: int = 0) -> tuple[int, int]:
        """Make a lease; return its id, and its TTL, which is never too short to be renewed."""
        request = rpc_pb2.LeaseGrantRequest(TTL=ttl_s, ID=lease_id)
        said = self._ask("/etcdserverpb.Lease/LeaseGrant", request, rpc_pb2.LeaseGrantResponse)
        return said.ID, said.TTL

    def revoke(self, lease_id: int) -> None:
        """End a lease; its keys go with it."""
        request = rpc_pb2.LeaseRevokeRequest(ID=lease_id)
        self._ask("/etcdserverpb.Lease/LeaseRevoke", request, rpc_pb2.LeaseRevokeResponse)

    def renew(self, lease_id: int) -> int:
        """Give a lease its whole TTL again; return it, 0 when the lease is gone."""
        request = rpc_pb2.LeaseKeepAliveRequest(ID=lease_id)
        path = "/etcdserverpb.Lease/LeaseKeepAlive"
        for said in self._talk(path, request, rpc_pb2.LeaseKeepAliveResponse):
            return int(said.TTL)
        return 0

    def time_to_live(self, lease_id: int, *, keys: bool = False) -> TimeToLive:
        """What is left of a lease."""
        request = rpc_pb2.LeaseTimeToLiveRequest(ID=lease_id, keys=keys)
        path = "/etcdserverpb.Lease/LeaseTimeToLive"
        said = self._ask(path, request, rpc_pb2.LeaseTimeToLiveResponse)
        return TimeToLive(said.TTL, said.grantedTTL, tuple(said.keys))

    def all(self) -> list[int]:
        """The ids of all leases."""
        path = "/etcdserverpb.Lease/LeaseLeases"
        said = self._ask(path, rpc_pb2.LeaseLeasesRequest(), rpc_pb2.LeaseLeasesResponse)
        return [it.ID for it in said.leases]

    # --- locks and elections --------------------------------------------------------------------

    def lock(self, name: bytes, lease_id: int) -> bytes:
        """Wait for a lock; return the key that holds it."""
        request = lock_pb2.LockRequest(name=name, lease=lease_id)
        key: bytes = self._ask("/v3lockpb.Lock/Lock", request, lock_pb2.LockResponse).key
        return key

    def unlock(self, key: bytes) -> None:
        """Let the next one have the lock."""
        request = lock_pb2.UnlockRequest(key=key)
        self._ask("/v3lockpb.Lock/Unlock", request, lock_pb2.UnlockResponse)

    def campaign(self, name: bytes, lease_id: int, value: bytes) -> Leader:
        """Wait until we lead."""
        request = election_pb2.CampaignRequest(name=name, lease=lease_id, value=value)
        path = "/v3electionpb.Election/Campaign"
        said = self._ask(path, request, election_pb2.CampaignResponse).leader
        return Leader(said.name, said.key, said.rev, value, said.lease)

    def resign(self, leader: Leader) -> None:
        """Lead no more."""
        key = election_pb2.LeaderKey(
            name=leader.name, key=leader.key, rev=leader.create_revision, lease=leader.lease
        )
        request = election_pb2.ResignRequest(leader=key)
        self._ask("/v3electionpb.Election/Resign", request, election_pb2.ResignResponse)

    def observe(self, name: bytes) -> Iterator[Leader]:
        """Who leads, now and from now on, for ever."""
        request = election_pb2.LeaderRequest(name=name)
        path = "/v3electionpb.Election/Observe"
        for said in self._follow(path, request, election_pb2.LeaderResponse):
            kv = said.kv
            yield Leader(name, kv.key, kv.create_revision, kv.value, kv.lease)
