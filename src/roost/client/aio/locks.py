"""Locks and elections for `async with`: a lease, and a turn that rests on it."""

from collections.abc import AsyncGenerator, Callable
from typing import Self

from roost.client.aio.leases import Leases
from roost.client.aio.session import Session
from roost.client.errors import ClientError, LeaseLost
from roost.client.shapes import Data, Leader


class _Turn:
    """What is held from `__aenter__` to `__aexit__`, as long as its lease is."""

    def __init__(
        self,
        leases: Leases,
        name: Data,
        value: Data,
        *,
        ttl_s: int,
        wait_s: float,
        on_lost: Callable[[LeaseLost], object] | None,
    ) -> None:
        self._leases = leases
        self._name = name
        self._value = value
        self._ttl_s = ttl_s
        self._wait_s = wait_s
        self._on_lost = on_lost
        self._session: Session | None = None
        self._held: Leader | None = None

    @property
    def held(self) -> Leader:
        """The key that holds it.

        Raises:
            ClientError: nothing is held.

        """
        if self._held is None:
            raise ClientError("FAILED_PRECONDITION", "it is not held: take it by `with` first")
        return self._held

    async def take(self) -> None:
        """Get a lease, and wait for the turn."""
        session = self._leases.session(self._ttl_s, on_lost=self._on_lost)
        await session.__aenter__()
        try:
            self._held = await self._leases.campaign(
                self._name,
                session.lease_id,
                self._value,
                wait_s=self._wait_s,
                scope=session.scope,
            )
        except BaseException:
            await session.__aexit__()
            raise
        self._session = session

    async def give(self) -> None:
        """Give the turn back, and the lease."""
        session, held = self._session, self._held
        self._session = self._held = None
        if session is None or held is None:
            return
        try:
            if session.lost is None:
                await self._leases.resign(held)
        finally:
            await session.__aexit__()

    def check(self) -> None:
        """Raise `LeaseLost` when the lease is lost."""
        if self._session is not None:
            self._session.check()

    @property
    def lost(self) -> LeaseLost | None:
        """Why it is lost, if it is."""
        return None if self._session is None else self._session.lost


class Lock:
    """A lock, from `async with` to its end, as long as its lease lasts.

    Whoever is cut off from the cluster for the time of the lease loses it: `on_lost` is called and
    `check` raises, a quarter of the time before somebody else can have it.  What is written
    elsewhere under the lock should say `token` along, so that late writes can be refused there.
    """

    def __init__(self, turn: _Turn) -> None:
        self._turn = turn

    async def __aenter__(self) -> Self:
        """Wait until it is ours.

        Raises:
            WaitedTooLong: it was not, in time.
            LeaseLost: the lease ended while we waited.
            ClientError: it was refused, or nobody answers.

        """
        await self._turn.take()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Let the next one have it."""
        await self._turn.give()

    @property
    def key(self) -> bytes:
        """The key that holds it."""
        return self._turn.held.key

    @property
    def token(self) -> int:
        """A number that only ever grows from holder to holder."""
        return self._turn.held.create_revision

    @property
    def lease_id(self) -> int:
        """The lease that it rests on: keys put with it go when the lock does."""
        return self._turn.held.lease

    @property
    def lost(self) -> LeaseLost | None:
        """Why it is lost, if it is."""
        return self._turn.lost

    def check(self) -> None:
        """Raise `LeaseLost` when it is lost."""
        self._turn.check()


class Election:
    """Who leads; `async with election.lead("me")` is to lead, as long as a lease lasts."""

    def __init__(
        self,
        leases: Leases,
        name: Data,
        *,
        ttl_s: int,
        wait_s: float,
        on_lost: Callable[[LeaseLost], object] | None,
    ) -> None:
        self._leases = leases
        self._name = name
        self._ttl_s = ttl_s
        self._wait_s = wait_s
        self._on_lost = on_lost

    def lead(self, value: Data) -> "Leading":
        """Lead with a value that everybody sees, from `async with` to its end."""
        turn = _Turn(
            self._leases,
            self._name,
            value,
            ttl_s=self._ttl_s,
            wait_s=self._wait_s,
            on_lost=self._on_lost,
        )
        return Leading(self._leases, turn)

    async def leader(self) -> Leader | None:
        """Who leads now; None when nobody does."""
        return await self._leases.leader(self._name)

    async def observe(self) -> AsyncGenerator[Leader, None]:
        """Who leads, now and from now on, for ever; none is left out or said twice."""
        async for leader in self._leases.observe(self._name):
            yield leader


class Leading:
    """To lead, from `async with` to its end; see `Lock` for what ends it early."""

    def __init__(self, leases: Leases, turn: _Turn) -> None:
        self._leases = leases
        self._turn = turn

    async def __aenter__(self) -> Self:
        """Wait until we lead; raises what `Lock` does."""
        await self._turn.take()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Lead no more."""
        await self._turn.give()

    async def proclaim(self, value: Data) -> None:
        """Lead with another value.

        Raises:
            LeaseLost: we lead no more.

        """
        if not await self._leases.proclaim(self._turn.held, value):
            raise LeaseLost(self._turn.held.lease, "has expired or was revoked")

    @property
    def key(self) -> bytes:
        """The key that says that we lead."""
        return self._turn.held.key

    @property
    def token(self) -> int:
        """A number that only ever grows from leader to leader."""
        return self._turn.held.create_revision

    @property
    def lost(self) -> LeaseLost | None:
        """Why we lead no more, if we do not."""
        return self._turn.lost

    def check(self) -> None:
        """Raise `LeaseLost` when we lead no more."""
        self._turn.check()


def make_lock(
    leases: Leases,
    name: Data,
    *,
    ttl_s: int,
    wait_s: float,
    on_lost: Callable[[LeaseLost], object] | None,
) -> Lock:
    """A lock that is not taken yet."""
    return Lock(_Turn(leases, name, b"", ttl_s=ttl_s, wait_s=wait_s, on_lost=on_lost))
