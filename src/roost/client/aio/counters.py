"""Counters, by a client: they count while the cluster is split (docs/how-to/counters.md).

    counters = client.counters
    await counters.increment("pages/home/views")
    async with counters.batch() as batch:
        batch.increment("pages/home/views", 4)
        batch.increment("pages/about/views")
    print(await counters.read("pages/home/views", "pages/about/views"))

A read is what the member that answers has heard; it may be behind what another one has answered.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self

from roost.client.aio.later import Later
from roost.client.backoff import Patience
from roost.client.connections import Connections
from roost.client.errors import ClientError, Unreachable
from roost.client.shapes import PAGE_KEYS
from roost.client.sticky import Retry, call_sticky
from roost.proto import counters_pb2 as pb

_PATH = "/roost.Counters/"
_KEY_BYTES = 16
# How long a stream of totals may be silent: a member says something each ten seconds or so.
_SILENCE_S = 60.0


def value_of(said: pb.CounterValue) -> int | None:
    """What a counter reads; None = there is none."""
    if said.missing:
        return None
    return int(said.large) if said.large else said.value


class Batch:
    """Changes that are sent together when the block ends, and happen all or not at all."""

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
        """What the counters read then, as the member that took it knows; empty before."""
        return self._values

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Send it; not after an error in the block.

        Raises:
            ClientError: as `Counters.increment`.

        """
        if kind is None and self._changes:
            self._values = await self._counters.increment_all(self._changes)


class Counters:
    """The counters of a cluster.  They are no part of a namespace: names are whole."""

    def __init__(self, connections: Connections, retry: Retry = Retry.EXACTLY_ONCE) -> None:
        """`retry` is what is done when an answer is lost."""
        self._connections = connections
        self._retry = retry

    def trying(self, retry: Retry) -> "Counters":
        """The same, with another answer to a lost answer."""
        return Counters(self._connections, retry)

    async def increment(self, name: str, change: int = 1, *, key: bytes = b"") -> int:
        """Add to a counter; what it reads then, as the member that took it knows.

        When this returns it is durable there.  It is tried again at the same member, by a `key`
        that is made for it unless you give one, so it counts once.

        Raises:
            CounterRefused: it may not be; nothing was changed.
            Busy, Unreachable: nothing was changed.
            OutcomeUnknown: the member has not answered in time: it may be counted.  The same
                `key` tells it what you ask about, as long as you ask the same member.

        """
        return (await self.increment_all({name: change}, key=key))[name]

    async def increment_all(
        self, changes: Mapping[str, int] | Sequence[tuple[str, int]], *, key: bytes = b""
    ) -> dict[str, int]:
        """Add to several counters, all or none; what they read then.

        Raises:
            ClientError: as `increment`.

        """
        pairs = changes.items() if isinstance(changes, Mapping) else changes
        request = pb.IncrementRequest(
            changes=[pb.CounterChange(name=name, change=change) for name, change in pairs],
            key=key or os.urandom(_KEY_BYTES),
        )
        said = await call_sticky(
            self._connections, _PATH + "Increment", request, pb.CountersResponse, retry=self._retry
        )
        return {it.name: value_of(it) or 0 for it in said.values}

    def batch(self) -> Batch:
        """Changes for `async with`: sent together when the block ends."""
        return Batch(self)

    async def later(self, *, every_s: float = 0.1) -> Later:
        """Somebody who counts in the background; see `Later`.  End it."""
        return Later(self._connections, every_s)

    async def delete(self, *names: str, key: bytes = b"") -> dict[str, int | None]:
        """Take away what a member has heard of some counters; what that was, None = nothing.

        Increments that it has not heard of stay.

        Raises:
            ClientError: as `increment`.

        """
        request = pb.DeleteCountersRequest(names=names, key=key or os.urandom(_KEY_BYTES))
        said = await call_sticky(
            self._connections, _PATH + "Delete", request, pb.CountersResponse, retry=self._retry
        )
        return {it.name: value_of(it) for it in said.values}

    async def read(self, *names: str) -> dict[str, int | None]:
        """What counters read at the member that answers; None = there is none.

        Raises:
            CounterRefused: a name may not be one.
            Busy, Unreachable: nobody answered.

        """
        said = await self._read(names, is_raw=False)
        return {it.name: value_of(it) for it in said.values}

    async def read_raw(self, *names: str) -> dict[str, dict[str, int]]:
        """What each member has counted of some counters, by the names of members.

        Raises:
            ClientError: as `read`.

        """
        said = await self._read(names, is_raw=True)
        return {
            it.name: {part.name: value_of(part) or 0 for part in it.parts} for it in said.values
        }

    async def _read(self, names: Sequence[str], *, is_raw: bool) -> pb.CountersResponse:
        request = pb.ReadCountersRequest(names=names, raw=is_raw)
        return await self._connections.nearest.call(_PATH + "Read", request, pb.CountersResponse)

    async def search(
        self, prefix: str = "", *, after: str = "", page: int = PAGE_KEYS
    ) -> AsyncGenerator[tuple[str, int], None]:
        """Yield names that begin with `prefix`, behind `after`, and what they read.

        Raises:
            ClientError: as `read`.

        """
        while True:
            request = pb.SearchCountersRequest(prefix=prefix, after=after, limit=page)
            said = await self._connections.nearest.call(
                _PATH + "Search", request, pb.CountersResponse
            )
            for it in said.values:
                yield it.name, value_of(it) or 0
            if not said.more:
                return
            after = said.after

    async def watch(
        self, prefix: str = "", *, is_all: bool = False
    ) -> AsyncGenerator[tuple[str, int | None], None]:
        """Yield totals that change, each as it reads then, for ever; None = it was deleted.

        With `is_all` all totals come first, as they do whenever it had to begin again, maybe at
        another member: so what was missed is there, and some are told twice.

        Raises:
            ClientError: it was refused, or no endpoint has answered for `patience_s`.

        """
        connections = self._connections
        manners = connections.manners
        patience = Patience(
            connections.endpoint_count, manners.patience_s, connections.clock_s, insists=False
        )
        while True:
            request = pb.WatchCountersRequest(prefix=prefix, all=is_all)
            answers = connections.stream(
                _PATH + "Watch", request, pb.CountersResponse, silence_s=_SILENCE_S
            )
            try:
                async with aclosing(answers):
                    async for said in answers:
                        patience.heard()
                        for it in said.values:
                            yield it.name, value_of(it)
                ended = Unreachable("UNAVAILABLE", "the stream has ended")
                await asyncio.sleep(patience.failed(ended))
            except ClientError as error:
                await asyncio.sleep(patience.failed(error))
            is_all = True

    async def describe(self, what: str, *, endpoint: str = "") -> Any:
        """What a member says: "stats", "links" or "topology"; `endpoint` = which, else any.

        Raises:
            ClientError: as `read`.

        """
        from msgspec import json  # whoever asks for none need not load it

        path, answer = _PATH + "Describe", pb.DescribeCountersResponse
        request = pb.DescribeCountersRequest(what=what)
        if endpoint:
            said = await self._connections.call_at(endpoint, path, request, answer)
        else:
            said = await self._connections.call(path, request, answer)
        return json.decode(said.said)

    async def administer(
        self,
        what: str,
        *,
        name: str = "",
        source: str = "",
        force: bool = False,
        relay: bool = False,
        endpoint: str = "",
    ) -> Any:
        """Have a member do what operators ask; what it says then.

        That is "ready", "purge", "prove" (what a purge would), "retire" (of `name`), "link" or
        "unlink" (`name` is the URL of a member of another cluster, `source` whose link it is, empty
        = everybody's).

        Raises:
            ClientError: as `increment`.

        """
        from msgspec import json  # whoever asks for none need not load it

        path, answer = _PATH + "Administer", pb.DescribeCountersResponse
        request = pb.AdministerCountersRequest(
            what=what, name=name, force=force, source=source, relay=relay
        )
        if endpoint:
            said = await self._connections.call_at(endpoint, path, request, answer)
        else:
            said = await self._connections.call(path, request, answer)
        return json.decode(said.said)
