"""Counters of a member in this process: the same calls as those of a client (`roost.client`).

    async with roost.aio.open("data") as db:
        await db.counters.increment("pages/home/views")
        async with db.counters.batch() as batch:
            batch.increment("pages/home/views", 4)
            batch.increment("pages/about/views")
        print(await db.counters.read("pages/home/views", "pages/about/views"))

The member counts whether it reaches the others or not.  Nothing is sent, so no answer is lost, and
nothing has to be tried again; errors are those of `roost.counters.errors`.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self

from roost.counters import forms
from roost.counters.aio.later import Later
from roost.counters.desk import Desk
from roost.counters.errors import BadChange, BadCounterName
from roost.counters.forms import LIST_LIMIT
from roost.counters.operators import Operators
from roost.counters.requests import Request
from roost.counters.watching import Hub

# Who asks, in audit lines.
_HERE = "the program of the member"


class Batch:
    """Changes that are made together when the block ends, all or none."""

    def __init__(self, counters: "Counters") -> None:
        """Nothing is in it."""
        self._counters = counters
        self._changes: dict[str, int] = {}
        self._values: dict[str, int] = {}

    def increment(self, name: str, change: int = 1) -> None:
        """Add to a counter, when the block ends."""
        self._changes[name] = self._changes.get(name, 0) + change

    @property
    def values(self) -> dict[str, int]:
        """What the counters read then, as this member knows; empty before."""
        return self._values

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Make them; not after an error in the block.

        Raises:
            RoostError: as `Counters.increment`.

        """
        if kind is None and self._changes:
            self._values = await self._counters.increment_all(self._changes)


class Counters:
    """The counters of one member: `db.counters`."""

    def __init__(
        self, desk: Desk, hub: Hub, operators: Operators, check: Callable[[], None]
    ) -> None:
        """`check` raises where a call could get no answer; see `Database`."""
        self._desk = desk
        self._hub = hub
        self._operators = operators
        self._check = check
        # Those who have not been ended yet: what they have is counted before the member stops.
        self.laters: list[Later] = []

    async def increment(self, name: str, change: int = 1, *, key: bytes = b"") -> int:
        """Add to a counter; what it reads then, as this member knows.

        When this returns it is durable here.  Who asks again with the same `key` of 1 to 128 bytes,
        also after a restart of this member, counts once.

        Raises:
            BadCounterName, BadChange, CounterOverflow, KeyReused: nothing was changed.
            NotExecuted: nothing was changed; try again.
            OutcomeUnknown: the member has stopped meanwhile: it may be counted.
            CounterStoreError: this member counts no more; the text says why.

        """
        return (await self.increment_all({name: change}, key=key))[name]

    async def increment_all(
        self, changes: Mapping[str, int] | Sequence[tuple[str, int]], *, key: bytes = b""
    ) -> dict[str, int]:
        """Add to several counters, all or none; what they read then.

        Raises:
            RoostError: as `increment`.

        """
        self._check()
        pairs = _checked(changes.items() if isinstance(changes, Mapping) else changes)
        values = await self._desk.increment(pairs, self._request(key, pairs))
        return {name: it or 0 for (name, _), it in zip(pairs, values, strict=True)}

    def _request(self, key: bytes, asked: object) -> Request | None:
        now_s = self._desk.counting.around.wall_s()
        return forms.request_of(key, repr(asked).encode("utf-8", "backslashreplace"), now_s)

    def batch(self) -> Batch:
        """Changes for `async with`: made together when the block ends."""
        return Batch(self)

    async def later(self, *, every_s: float = 0.1) -> Later:
        """Somebody who counts in the background; see `Later`.  End it."""
        self._check()
        self.laters = [it for it in self.laters if not it.has_ended]
        found = Later(self._desk, every_s)
        self.laters.append(found)
        return found

    async def delete(self, *names: str, key: bytes = b"") -> dict[str, int | None]:
        """Take away what this member has heard of some counters; what that was, None = nothing.

        Increments that it has not heard of stay.

        Raises:
            RoostError: as `increment`.

        """
        self._check()
        values = await self._desk.delete(names, self._request(key, ("delete", names)))
        return dict(zip(names, values, strict=True))

    async def read(self, *names: str) -> dict[str, int | None]:
        """What counters read at this member; None = there is none.

        Raises:
            BadCounterName: a name may not be one.
            NotReady: this member lacks what others have.
            CounterStoreError: it counts no more.

        """
        self._check()
        return dict(zip(names, await self._desk.read(names), strict=True))

    async def read_raw(self, *names: str) -> dict[str, dict[str, int]]:
        """What each member has counted of some counters, by the names of members.

        Raises:
            RoostError: as `read`.

        """
        self._check()
        return dict(zip(names, await self._desk.read_raw(names), strict=True))

    async def search(
        self, prefix: str = "", *, after: str = "", page: int = LIST_LIMIT
    ) -> AsyncGenerator[tuple[str, int], None]:
        """Yield names that begin with `prefix`, behind `after`, and what they read.

        Raises:
            RoostError: as `read`.

        """
        behind: str | None = after
        while behind is not None:
            self._check()
            listed = await self._desk.search(prefix, behind, page)
            for name, value in listed.rows:
                yield name, value
            behind = listed.after

    async def watch(
        self, prefix: str = "", *, is_all: bool = False
    ) -> AsyncGenerator[tuple[str, int | None], None]:
        """Yield totals that change, each as it reads then, for ever; None = it was deleted.

        With `is_all` all totals come first, as they do whenever it had to begin again, because it
        was taken too slowly: so what was missed is there, and some are told twice.

        Raises:
            RoostError: as `read`; Stopped: the member stops.

        """
        while True:
            self._check()
            await self._desk.wait_ready()
            watcher = self._hub.watch(prefix, has_missed=is_all)
            try:
                async with aclosing(watcher.events()) as told:
                    async for values in told:
                        for name, value in values.items():
                            yield name, value
            finally:
                watcher.close()
            is_all = True

    async def describe(self, what: str) -> Any:
        """What this member says: "stats", "links" or "topology"; as JSON has it.

        Raises:
            BadCounterRequest: it is asked for something else.

        """
        self._check()
        return self._operators.describe(what)

    async def administer(
        self,
        what: str,
        *,
        name: str = "",
        source: str = "",
        force: bool = False,
        relay: bool = False,
    ) -> Any:
        """Do what operators ask; what this member says then.

        That is "ready", "purge", "prove" (what a purge would), "retire" (of `name`), "link" or
        "unlink" (`name` is the URL of a member of another cluster, `source` whose link it is, empty
        = everybody's).

        Raises:
            BadCounterRequest: it is asked for something else.
            PurgeRefused, RetireRefused, LinkRefused: not now; the text says why.
            RoostError: this member does not serve, or nobody leads.

        """
        self._check()
        return await self._operators.administer(
            what, who=_HERE, name=name, source=source, is_forced=force, is_relay=relay
        )


def _checked(changes: Iterable[tuple[Any, Any]]) -> list[tuple[str, int]]:
    """Changes as a program gives them, whose types nobody may have looked at."""
    found = list(changes)
    for name, change in found:
        if not isinstance(name, str):
            raise BadCounterName(f"{name!r}: a counter's name is a text")
        if not isinstance(change, int) or isinstance(change, bool):
            raise BadChange(f"{change!r}: a change of a counter is a whole number")
    return found
