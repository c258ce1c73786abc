"""Leases, and what rests on them (etcd api: Lease)."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from collections.abc import Callable, Generator

from roost.client.aio import leases as aio
from roost.client.blocking.session import Session
from roost.client.errors import ClientError, LeaseLost
from roost.client.scope import Scope
from roost.client.shapes import Data, Granted, Leader, TimeToLive
from roost.faces import Face


class Leases(Face):
    """Leases, locks and elections, one step at a time; `Client.lock` takes all of them."""

    _inner: aio.Leases

    def grant(self, ttl_s: int, lease_id: int = 0) -> Granted:
        """Make a lease of `ttl_s` seconds; the cluster names it, unless `lease_id` does."""
        return self._loop.call(self._inner.grant(ttl_s, lease_id))

    def revoke(self, lease_id: int) -> None:
        """End a lease; its keys go with it.

        Raises:
            LeaseNotFound: it has ended before.

        """
        self._loop.call(self._inner.revoke(lease_id))

    def renew(self, lease_id: int, *, timeout_s: float | None = None) -> int:
        """Give a lease its whole time again, at any endpoint; return it, 0 when the lease is gone.

        Raises:
            ClientError: nobody renewed it in time.

        """
        return self._loop.call(self._inner.renew(lease_id, timeout_s=timeout_s))

    def session(
        self,
        ttl_s: int = 60,
        *,
        lease_id: int = 0,
        on_renewed: Callable[[int], object] | None = None,
        on_lost: Callable[[LeaseLost], object] | None = None,
        on_trouble: Callable[[ClientError], object] | None = None,
    ) -> Session:
        """A lease that is renewed in the background, for `with`; see `Session`.

        It is granted and given back, unless there is a `lease_id` that is only to be renewed.
        Called are: `on_renewed` at every renewal, with the whole time in seconds; `on_lost` once,
        when the lease is lost; `on_trouble` once, when renewals begin to fail.

        """
        return Session._of(
            self._inner.session(
                ttl_s,
                lease_id=lease_id,
                on_renewed=None if on_renewed is None else self._loop.calling(on_renewed),
                on_lost=None if on_lost is None else self._loop.calling(on_lost),
                on_trouble=None if on_trouble is None else self._loop.calling(on_trouble),
            ),
            self._loop,
        )

    def time_to_live(self, lease_id: int, *, keys: bool = False) -> TimeToLive:
        """What is left of a lease; its keys, if asked for, as far as they are in our namespace."""
        return self._loop.call(self._inner.time_to_live(lease_id, keys=keys))

    def all(self) -> list[int]:
        """The ids of all leases."""
        return self._loop.call(self._inner.all())

    def lock(
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
        return self._loop.call(self._inner.lock(name, lease_id, wait_s=wait_s, scope=scope))

    def unlock(self, held: Leader) -> None:
        """Let the next one have the lock."""
        self._loop.call(self._inner.unlock(held))

    def campaign(
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
        return self._loop.call(
            self._inner.campaign(name, lease_id, value, wait_s=wait_s, scope=scope)
        )

    def proclaim(self, leader: Leader, value: Data) -> bool:
        """Lead with another value; False when we lead no more."""
        return self._loop.call(self._inner.proclaim(leader, value))

    def resign(self, leader: Leader) -> None:
        """Lead no more."""
        self._loop.call(self._inner.resign(leader))

    def leader(self, name: Data) -> Leader | None:
        """Who leads, or holds a lock; None when nobody does."""
        return self._loop.call(self._inner.leader(name))

    def observe(self, name: Data) -> Generator[Leader, None, None]:
        """Who leads, now and from now on, for ever; at any endpoint.

        None is left out and none is said twice; only a compaction while no endpoint answered can
        hide some that led meanwhile.

        """
        return self._loop.iterate(self._inner.observe(name))
