"""Leases, and what rests on them (etcd api: Lease)."""

from collections.abc import AsyncGenerator, Callable

from roost.client.aio.session import Session
from roost.client.connections import Caller
from roost.client.errors import ClientError, LeaseLost
from roost.client.scope import Scope
from roost.client.shapes import Data, Granted, Leader, TimeToLive, bytes_of
from roost.client.turns import Turns
from roost.proto import rpc_pb2

_LEASE = "/etcdserverpb.Lease/"


class Leases:
    """Leases, locks and elections, one step at a time; `Client.lock` takes all of them."""

    def __init__(self, caller: Caller, patience_s: float) -> None:
        """Ask by a client's connections."""
        self._caller = caller
        self._turns = Turns(caller, patience_s)

    async def grant(self, ttl_s: int, lease_id: int = 0) -> Granted:
        """Make a lease of `ttl_s` seconds; the cluster names it, unless `lease_id` does."""
        request = rpc_pb2.LeaseGrantRequest(TTL=ttl_s, ID=lease_id)
        # Granted twice without a name, one of the two ends by itself.
        said = await self._caller.call(
            _LEASE + "LeaseGrant",
            request,
            rpc_pb2.LeaseGrantResponse,
            is_repeatable=not lease_id,
        )
        return Granted(said.ID, said.TTL)

    async def revoke(self, lease_id: int) -> None:
        """End a lease; its keys go with it.

        Raises:
            LeaseNotFound: it has ended before.

        """
        request = rpc_pb2.LeaseRevokeRequest(ID=lease_id)
        await self._caller.call(_LEASE + "LeaseRevoke", request, rpc_pb2.LeaseRevokeResponse)

    async def renew(self, lease_id: int, *, timeout_s: float | None = None) -> int:
        """Give a lease its whole time again, at any endpoint; return it, 0 when the lease is gone.

        Raises:
            ClientError: nobody renewed it in time.

        """
        request = rpc_pb2.LeaseKeepAliveRequest(ID=lease_id)
        # One message each way is a call like any other, on the wire, also of a stream's method.
        said = await self._caller.call(
            _LEASE + "LeaseKeepAlive",
            request,
            rpc_pb2.LeaseKeepAliveResponse,
            timeout_s=timeout_s,
        )
        return int(said.TTL)

    def session(
        self,
        ttl_s: int = 60,
        *,
        lease_id: int = 0,
        on_renewed: Callable[[int], object] | None = None,
        on_lost: Callable[[LeaseLost], object] | None = None,
        on_trouble: Callable[[ClientError], object] | None = None,
    ) -> Session:
        """A lease that is renewed in the background, for `async with`; see `Session`.

        It is granted and given back, unless there is a `lease_id` that is only to be renewed.
        Called are: `on_renewed` at every renewal, with the whole time in seconds; `on_lost` once,
        when the lease is lost; `on_trouble` once, when renewals begin to fail.
        """
        return Session(
            self,
            ttl_s,
            lease_id=lease_id,
            clock_s=self._caller.clock_s,
            on_renewed=on_renewed,
            on_lost=on_lost,
            on_trouble=on_trouble,
        )

    async def time_to_live(self, lease_id: int, *, keys: bool = False) -> TimeToLive:
        """What is left of a lease; its keys, if asked for, as far as they are in our namespace."""
        request = rpc_pb2.LeaseTimeToLiveRequest(ID=lease_id, keys=keys)
        said = await self._caller.call(
            _LEASE + "LeaseTimeToLive", request, rpc_pb2.LeaseTimeToLiveResponse
        )
        return TimeToLive(said.TTL, said.grantedTTL, tuple(said.keys))

    async def all(self) -> list[int]:
        """The ids of all leases."""
        said = await self._caller.call(
            _LEASE + "LeaseLeases", rpc_pb2.LeaseLeasesRequest(), rpc_pb2.LeaseLeasesResponse
        )
        return [it.ID for it in said.leases]

    async def lock(
        self, name: Data, lease_id: int, *, wait_s: float = 3600.0, scope: Scope | None = None
    ) -> Leader:
        """Wait for a lock; return the key that holds it, for `unlock`.

        The lock is ours as long as the lease lasts: see `session`, whose `scope` also ends the
        waiting.  Whoever writes elsewhere under the lock says `create_revision` there: it only
        ever grows from holder to holder.

        Raises:
            LeaseLost: the lease is gone.
            WaitedTooLong: it is not ours within `wait_s`.
            ClientError: it was refused.

        """
        return await self._turns.take(
            bytes_of(name), lease_id, b"", wait_s=wait_s, scope=scope or Scope()
        )

    async def unlock(self, held: Leader) -> None:
        """Let the next one have the lock."""
        await self._turns.leave(held.key, held.create_revision)

    async def campaign(
        self,
        name: Data,
        lease_id: int,
        value: Data,
        *,
        wait_s: float = 3600.0,
        scope: Scope | None = None,
    ) -> Leader:
        """Wait until we lead; as long as the lease lasts, as with `lock`.

        Raises:
            LeaseLost: the lease is gone.
            WaitedTooLong: we do not lead within `wait_s`.
            ClientError: it was refused.

        """
        return await self._turns.take(
            bytes_of(name), lease_id, bytes_of(value), wait_s=wait_s, scope=scope or Scope()
        )

    async def proclaim(self, leader: Leader, value: Data) -> bool:
        """Lead with another value; False when we lead no more."""
        return await self._turns.proclaim(
            leader.key, leader.create_revision, leader.lease, bytes_of(value)
        )

    async def resign(self, leader: Leader) -> None:
        """Lead no more."""
        await self._turns.leave(leader.key, leader.create_revision)

    async def leader(self, name: Data) -> Leader | None:
        """Who leads, or holds a lock; None when nobody does."""
        return await self._turns.first(bytes_of(name))

    async def observe(self, name: Data) -> AsyncGenerator[Leader, None]:
        """Who leads, now and from now on, for ever; at any endpoint.

        None is left out and none is said twice; only a compaction while no endpoint answered can
        hide some that led meanwhile.
        """
        async for leader in self._turns.observe(bytes_of(name)):
            yield leader
