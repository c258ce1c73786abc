"""Counters, by a client: they count while the cluster is split (docs/how-to/counters.md).

    counters = client.counters
    counters.increment("pages/home/views")
    with counters.batch() as batch:
        batch.increment("pages/home/views", 4)
        batch.increment("pages/about/views")
    print(counters.read("pages/home/views", "pages/about/views"))

A read is what the member that answers has heard; it may be behind what another one has answered.
"""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from collections.abc import Generator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from roost.client.aio import counters as aio
from roost.client.blocking.later import Later
from roost.client.shapes import PAGE_KEYS
from roost.client.sticky import Retry
from roost.faces import Face


class Batch(Face):
    """Changes that are sent together when the block ends, and happen all or not at all."""

    _inner: aio.Batch

    def increment(self, name: str, change: int = 1) -> None:
        """Add to a counter, when the block ends."""
        self._inner.increment(name, change)

    @property
    def values(self) -> dict[str, int]:
        """What the counters read then, as the member that took it knows; empty before."""
        return self._inner.values

    def __enter__(self) -> Self:
        self._loop.call(self._inner.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Send it; not after an error in the block.

        Raises:
            ClientError: as `Counters.increment`.

        """
        self._loop.call(self._inner.__aexit__(kind, error, trace))


class Counters(Face):
    """The counters of a cluster.  They are no part of a namespace: names are whole."""

    _inner: aio.Counters

    def trying(self, retry: Retry) -> "Counters":
        """The same, with another answer to a lost answer."""
        return Counters._of(self._inner.trying(retry), self._loop)

    def increment(self, name: str, change: int = 1, *, key: bytes = b"") -> int:
        """Add to a counter; what it reads then, as the member that took it knows.

        When this returns it is durable there.  It is tried again at the same member, by a `key`
        that is made for it unless you give one, so it counts once.

        Raises:
            CounterRefused: it may not be; nothing was changed.
            Busy, Unreachable: nothing was changed.
            OutcomeUnknown: the member has not answered in time: it may be counted.  The same
                `key` tells it what you ask about, as long as you ask the same member.

        """
        return self._loop.call(self._inner.increment(name, change, key=key))

    def increment_all(
        self, changes: Mapping[str, int] | Sequence[tuple[str, int]], *, key: bytes = b""
    ) -> dict[str, int]:
        """Add to several counters, all or none; what they read then.

        Raises:
            ClientError: as `increment`.

        """
        return self._loop.call(self._inner.increment_all(changes, key=key))

    def batch(self) -> Batch:
        """Changes for `with`: sent together when the block ends."""
        return Batch._of(self._inner.batch(), self._loop)

    def later(self, *, every_s: float = 0.1) -> Later:
        """Somebody who counts in the background; see `Later`.  End it."""
        return Later._of(self._loop.call(self._inner.later(every_s=every_s)), self._loop)

    def delete(self, *names: str, key: bytes = b"") -> dict[str, int | None]:
        """Take away what a member has heard of some counters; what that was, None = nothing.

        Increments that it has not heard of stay.

        Raises:
            ClientError: as `increment`.

        """
        return self._loop.call(self._inner.delete(*names, key=key))

    def read(self, *names: str) -> dict[str, int | None]:
        """What counters read at the member that answers; None = there is none.

        Raises:
            CounterRefused: a name may not be one.
            Busy, Unreachable: nobody answered.

        """
        return self._loop.call(self._inner.read(*names))

    def read_raw(self, *names: str) -> dict[str, dict[str, int]]:
        """What each member has counted of some counters, by the names of members.

        Raises:
            ClientError: as `read`.

        """
        return self._loop.call(self._inner.read_raw(*names))

    def search(
        self, prefix: str = "", *, after: str = "", page: int = PAGE_KEYS
    ) -> Generator[tuple[str, int], None, None]:
        """Yield names that begin with `prefix`, behind `after`, and what they read.

        Raises:
            ClientError: as `read`.

        """
        return self._loop.iterate(self._inner.search(prefix, after=after, page=page))

    def watch(
        self, prefix: str = "", *, is_all: bool = False
    ) -> Generator[tuple[str, int | None], None, None]:
        """Yield totals that change, each as it reads then, for ever; None = it was deleted.

        With `is_all` all totals come first, as they do whenever it had to begin again, maybe at
        another member: so what was missed is there, and some are told twice.

        Raises:
            ClientError: it was refused, or no endpoint has answered for `patience_s`.

        """
        return self._loop.iterate(self._inner.watch(prefix, is_all=is_all))

    def describe(self, what: str, *, endpoint: str = "") -> Any:
        """What a member says: "stats", "links" or "topology"; `endpoint` = which, else any.

        Raises:
            ClientError: as `read`.

        """
        return self._loop.call(self._inner.describe(what, endpoint=endpoint))

    def administer(
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
        return self._loop.call(
            self._inner.administer(
                what, name=name, source=source, force=force, relay=relay, endpoint=endpoint
            )
        )
