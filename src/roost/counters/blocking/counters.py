"""Counters of a member in this process: the same calls as those of a client (`roost.client`).

    with roost.aio.open("data") as db:
        db.counters.increment("pages/home/views")
        with db.counters.batch() as batch:
            batch.increment("pages/home/views", 4)
            batch.increment("pages/about/views")
        print(db.counters.read("pages/home/views", "pages/about/views"))

The member counts whether it reaches the others or not.  Nothing is sent, so no answer is lost, and
nothing has to be tried again; errors are those of `roost.counters.errors`.
"""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from collections.abc import Generator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from roost.counters.aio import counters as aio
from roost.counters.blocking.later import Later
from roost.counters.forms import LIST_LIMIT
from roost.faces import Face


class Batch(Face):
    """Changes that are made together when the block ends, all or none."""

    _inner: aio.Batch

    def increment(self, name: str, change: int = 1) -> None:
        """Add to a counter, when the block ends."""
        self._inner.increment(name, change)

    @property
    def values(self) -> dict[str, int]:
        """What the counters read then, as this member knows; empty before."""
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
        """Make them; not after an error in the block.

        Raises:
            RoostError: as `Counters.increment`.

        """
        self._loop.call(self._inner.__aexit__(kind, error, trace))


class Counters(Face):
    """The counters of one member: `db.counters`."""

    _inner: aio.Counters

    def increment(self, name: str, change: int = 1, *, key: bytes = b"") -> int:
        """Add to a counter; what it reads then, as this member knows.

        When this returns it is durable here.  Who asks again with the same `key` of 1 to 128 bytes,
        also after a restart of this member, counts once.

        Raises:
            BadCounterName, BadChange, CounterOverflow, KeyReused: nothing was changed.
            NotExecuted: nothing was changed; try again.
            OutcomeUnknown: the member has stopped meanwhile: it may be counted.
            CounterStoreError: this member counts no more; the text says why.

        """
        return self._loop.call(self._inner.increment(name, change, key=key))

    def increment_all(
        self, changes: Mapping[str, int] | Sequence[tuple[str, int]], *, key: bytes = b""
    ) -> dict[str, int]:
        """Add to several counters, all or none; what they read then.

        Raises:
            RoostError: as `increment`.

        """
        return self._loop.call(self._inner.increment_all(changes, key=key))

    def batch(self) -> Batch:
        """Changes for `with`: made together when the block ends."""
        return Batch._of(self._inner.batch(), self._loop)

    def later(self, *, every_s: float = 0.1) -> Later:
        """Somebody who counts in the background; see `Later`.  End it."""
        return Later._of(self._loop.call(self._inner.later(every_s=every_s)), self._loop)

    def delete(self, *names: str, key: bytes = b"") -> dict[str, int | None]:
        """Take away what this member has heard of some counters; what that was, None = nothing.

        Increments that it has not heard of stay.

        Raises:
            RoostError: as `increment`.

        """
        return self._loop.call(self._inner.delete(*names, key=key))

    def read(self, *names: str) -> dict[str, int | None]:
        """What counters read at this member; None = there is none.

        Raises:
            BadCounterName: a name may not be one.
            NotReady: this member lacks what others have.
            CounterStoreError: it counts no more.

        """
        return self._loop.call(self._inner.read(*names))

    def read_raw(self, *names: str) -> dict[str, dict[str, int]]:
        """What each member has counted of some counters, by the names of members.

        Raises:
            RoostError: as `read`.

        """
        return self._loop.call(self._inner.read_raw(*names))

    def search(
        self, prefix: str = "", *, after: str = "", page: int = LIST_LIMIT
    ) -> Generator[tuple[str, int], None, None]:
        """Yield names that begin with `prefix`, behind `after`, and what they read.

        Raises:
            RoostError: as `read`.

        """
        return self._loop.iterate(self._inner.search(prefix, after=after, page=page))

    def watch(
        self, prefix: str = "", *, is_all: bool = False
    ) -> Generator[tuple[str, int | None], None, None]:
        """Yield totals that change, each as it reads then, for ever; None = it was deleted.

        With `is_all` all totals come first, as they do whenever it had to begin again, because it
        was taken too slowly: so what was missed is there, and some are told twice.

        Raises:
            RoostError: as `read`; Stopped: the member stops.

        """
        return self._loop.iterate(self._inner.watch(prefix, is_all=is_all))

    def describe(self, what: str) -> Any:
        """What this member says: "stats", "links" or "topology"; as JSON has it.

        Raises:
            BadCounterRequest: it is asked for something else.

        """
        return self._loop.call(self._inner.describe(what))

    def administer(
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
        return self._loop.call(
            self._inner.administer(what, name=name, source=source, force=force, relay=relay)
        )
