"""Leases, locks and elections, by a client (etcd api: Lease)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from roost.client.connections import Connections
from roost.client.errors import ClientError, LeaseLost
from roost.client.scope import Scope
from roost.client.session import Session
from roost.client.turns import Leader, Turns
from roost.proto import rpc_pb2


@dataclass(frozen=True, slots=True)
class TimeToLive:
    """What is left of a lease in seconds, -1 when it is gone; what was granted; its keys."""

    left_s: int
    granted_s: int
    keys: tuple[bytes, ...]


class Leases:
    """Leases, and what rests on them."""

    def __init__(self, connections: Connections, patience_s: float) -> None:
        """Ask by a client's connections."""
        self._connections = connections
        self._turns = Turns(connections, patience_s)

    def _ask(self, method: str, request: Any, answer: Any, **how: Any) -> Any:
        return self._connections.call(f"/etcdserverpb.Lease/{method}", request, answer, **how)

    def grant(self, ttl_s: int, lease_id: int = 0) -> tuple[int, int]:
        """Make a lease; return its id, and its TTL, which is never too short to be renewed."""
        request = rpc_pb2.LeaseGrantRequest(TTL=ttl_s, ID=lease_id)
        # Granted twice without a name, one of the two ends by itself.
        said = self._ask(
            "LeaseGrant", request, rpc_pb2.LeaseGrantResponse, is_repeatable=not lease_id
        )
        return said.ID, said.TTL

    def revoke(self, lease_id: int) -> None:
        """End a lease; its keys go with it."""
        request = rpc_pb2.LeaseRevokeRequest(ID=lease_id)
        self._ask("LeaseRevoke", request, rpc_pb2.LeaseRevokeResponse)

    def renew(self, lease_id: int, *, timeout_s: float | None = None) -> int:
        """Give a lease its whole TTL again, at any endpoint; return it, 0 when the lease is gone.

        Raises:
            ClientError: nobody renewed it in time.

        """
        request = rpc_pb2.LeaseKeepAliveRequest(ID=lease_id)
        # One message each way is a call like any other, on the wire, also of a stream's method.
        said = self._ask(
            "LeaseKeepAlive", request, rpc_pb2.LeaseKeepAliveResponse, timeout_s=timeout_s
        )
        return int(said.TTL)

    def session(
        self,
        ttl_s: int = 60,
        *,
        lease_id: int = 0,
        on_renewed: Callable[[int], None] = lambda _ttl_s: None,
        on_lost: Callable[[LeaseLost], None] = lambda _lost: None,
        on_trouble: Callable[[ClientError], None] = lambda _error: None,
    ) -> Session:
        """A lease that is renewed in the background, for `with`; see `Session`."""
        return Session(
            self,
            ttl_s,
            lease_id=lease_id,
            on_renewed=on_renewed,
            on_lost=on_lost,
            on_trouble=on_trouble,
        )

    def time_to_live(self, lease_id: int, *, keys: bool = False) -> TimeToLive:
        """What is left of a lease."""
        request = rpc_pb2.LeaseTimeToLiveRequest(ID=lease_id, keys=keys)
        said = self._ask("LeaseTimeToLive", request, rpc_pb2.LeaseTimeToLiveResponse)
        return TimeToLive(said.TTL, said.grantedTTL, tuple(said.keys))

    def all(self) -> list[int]:
        """The ids of all leases."""
        said = self._ask("LeaseLeases", rpc_pb2.LeaseLeasesRequest(), rpc_pb2.LeaseLeasesResponse)
        return [it.ID for it in said.leases]

    def lock(
        self, name: bytes, lease_id: int, *, wait_s: float = 3600.0, scope: Scope | None = None
    ) -> Leader:
        """Wait for a lock; return the key that holds it, for `unlock`.

        The lock is ours as long as the lease lasts: see `session`, whose `scope` also ends the
        waiting.  Whoever writes elsewhere under the lock says `create_revision` there: it only
        ever grows from holder to holder.

        Raises:
            LeaseLost: the lease is gone.
            ClientError: it was refused, or not ours within `wait_s`.

        """
        return self._turns.take(name, lease_id, b"", wait_s=wait_s, scope=scope)

    def unlock(self, held: Leader) -> None:
        """Let the next one have the lock."""
        self._turns.leave(held.key, held.create_revision)

    def campaign(
        self,
        name: bytes,
        lease_id: int,
        value: bytes,
        *,
        wait_s: float = 3600.0,
        scope: Scope | None = None,
    ) -> Leader:
        """Wait until we lead; as long as the lease lasts, as with `lock`.

        Raises:
            LeaseLost: the lease is gone.
            ClientError: it was refused, or we did not lead within `wait_s`.

        """
        return self._turns.take(name, lease_id, value, wait_s=wait_s, scope=scope)

    def resign(self, leader: Leader) -> None:
        """Lead no more."""
        self._turns.leave(leader.key, leader.create_revision)

    def observe(self, name: bytes) -> Iterator[Leader]:
        """Who leads, now and from now on, for ever; at any endpoint."""
        return self._turns.observe(name)
