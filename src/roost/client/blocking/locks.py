"""Locks and elections for `with`: a lease, and a turn that rests on it."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from collections.abc import Generator
from typing import Self

from roost.client.aio import locks as aio
from roost.client.errors import LeaseLost
from roost.client.shapes import Data, Leader
from roost.faces import Face


class Lock(Face):
    """A lock, from `with` to its end, as long as its lease lasts.

    Whoever is cut off from the cluster for the time of the lease loses it: `on_lost` is called and
    `check` raises, a quarter of the time before somebody else can have it.  What is written
    elsewhere under the lock should say `token` along, so that late writes can be refused there.

    """

    _inner: aio.Lock

    def __enter__(self) -> Self:
        """Wait until it is ours.

        Raises:
            WaitedTooLong: it was not, in time.
            LeaseLost: the lease ended while we waited.
            ClientError: it was refused, or nobody answers.

        """
        self._loop.call(self._inner.__aenter__())
        return self

    def __exit__(self, *exc: object) -> None:
        """Let the next one have it."""
        self._loop.call(self._inner.__aexit__(*exc))

    @property
    def key(self) -> bytes:
        """The key that holds it."""
        return self._inner.key

    @property
    def token(self) -> int:
        """A number that only ever grows from holder to holder."""
        return self._inner.token

    @property
    def lease_id(self) -> int:
        """The lease that it rests on: keys put with it go when the lock does."""
        return self._inner.lease_id

    @property
    def lost(self) -> LeaseLost | None:
        """Why it is lost, if it is."""
        return self._inner.lost

    def check(self) -> None:
        """Raise `LeaseLost` when it is lost."""
        self._inner.check()


class Election(Face):
    """Who leads; `with election.lead("me")` is to lead, as long as a lease lasts."""

    _inner: aio.Election

    def lead(self, value: Data) -> "Leading":
        """Lead with a value that everybody sees, from `with` to its end."""
        return Leading._of(self._inner.lead(value), self._loop)

    def leader(self) -> Leader | None:
        """Who leads now; None when nobody does."""
        return self._loop.call(self._inner.leader())

    def observe(self) -> Generator[Leader, None, None]:
        """Who leads, now and from now on, for ever; none is left out or said twice."""
        return self._loop.iterate(self._inner.observe())


class Leading(Face):
    """To lead, from `with` to its end; see `Lock` for what ends it early."""

    _inner: aio.Leading

    def __enter__(self) -> Self:
        """Wait until we lead; raises what `Lock` does."""
        self._loop.call(self._inner.__aenter__())
        return self

    def __exit__(self, *exc: object) -> None:
        """Lead no more."""
        self._loop.call(self._inner.__aexit__(*exc))

    def proclaim(self, value: Data) -> None:
        """Lead with another value.

        Raises:
            LeaseLost: we lead no more.

        """
        self._loop.call(self._inner.proclaim(value))

    @property
    def key(self) -> bytes:
        """The key that says that we lead."""
        return self._inner.key

    @property
    def token(self) -> int:
        """A number that only ever grows from leader to leader."""
        return self._inner.token

    @property
    def lost(self) -> LeaseLost | None:
        """Why we lead no more, if we do not."""
        return self._inner.lost

    def check(self) -> None:
        """Raise `LeaseLost` when we lead no more."""
        self._inner.check()
