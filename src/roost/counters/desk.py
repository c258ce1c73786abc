"""What clients ask of one member's counters, by whatever protocol: awaited, and a slice a turn."""

import asyncio
from collections.abc import Sequence
from functools import partial

from roost.counters import changing, messages, reading
from roost.counters.changing import Steps
from roost.counters.counting import Counting
from roost.counters.ports import State
from roost.counters.reading import PAGE_ROWS_MAX, Listed
from roost.counters.requests import Request
from roost.counters.store import Store
from roost.counters.work import Done
from roost.outcome import settle_future

# Names that are read in one turn (D14).
SLICE_NAMES = 200


class Desk:
    """Asks one member's counters."""

    def __init__(self, counting: Counting) -> None:
        """Ask these."""
        self.counting = counting

    def increment_nowait(
        self, changes: Sequence[tuple[str, int]], done: Done, request: Request | None = None
    ) -> None:
        """Change counters, all or none, and call `done` once: new values, or why there are none.

        It is durable here then.  Errors are those of `changing.increment`, NotReady, and
        OutcomeUnknown: it may be counted, and who asks again with the same key counts once.
        """

        def begin(store: Store) -> Steps:
            return changing.increment_steps(store, changes, request)

        self.counting.change_nowait(len(changes), begin, done)

    def delete_nowait(
        self, names: Sequence[str], done: Done, request: Request | None = None
    ) -> None:
        """Delete counters; `done` gets what they were, None = there was none.  Else likewise."""

        def begin(store: Store) -> Steps:
            return changing.delete_steps(store, names, request)

        self.counting.change_nowait(len(names), begin, done)

    async def increment(
        self, changes: Sequence[tuple[str, int]], request: Request | None = None
    ) -> list[int | None]:
        """Change counters, all or none; new values, in the order of the changes; durable here.

        Raises:
            BadCounterName, BadChange, CounterOverflow, KeyReused, NotReady: nothing was changed.
            OutcomeUnknown: it may be counted; who asks again with the same key counts once.
            RoostError: nothing was changed.

        """
        future: asyncio.Future[list[int | None]] = asyncio.get_running_loop().create_future()
        self.increment_nowait(changes, partial(settle_future, future), request)
        return await future

    async def delete(
        self, names: Sequence[str], request: Request | None = None
    ) -> list[int | None]:
        """Delete counters; what they read before, None = there was none.

        Raises:
            RoostError: as `increment`.

        """
        future: asyncio.Future[list[int | None]] = asyncio.get_running_loop().create_future()
        self.delete_nowait(names, partial(settle_future, future), request)
        return await future

    async def visit(self, data: bytes) -> bytes:
        """Take what a member of another cluster tells; the answer, empty = none; durable here.

        Raises:
            MalformedCounters: nobody tells such a thing.
            NotReady, Overloaded: not now; nothing was taken.
            RoostError: the store is broken, or the member stops.

        """
        message = messages.decode(data)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.counting.visit_nowait(message, len(data), partial(settle_future, future))
        return await future

    async def wait_ready(self) -> None:
        """Wait a moment for a member that is being opened or fed.

        Raises:
            NotReady: it lacks what others have, still.
            RoostError: the store is broken, or the member stops.

        """
        if self.counting.state is State.ABSENT:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.counting.when_ready(lambda error: settle_future(future, error))
        await future

    async def read(self, names: Sequence[str]) -> list[int | None]:
        """Values as they are durable here; None = there is no such counter.

        Raises:
            BadCounterName: a name may not be one.
            NotReady: this member lacks what others have.
            RoostError: the store is broken.

        """
        await self.wait_ready()
        found: list[int | None] = []
        while len(found) < len(names):
            wanted = names[len(found) : len(found) + SLICE_NAMES]
            store = self.counting.check_ready()
            found += reading.read_some(store, wanted) if store else reading.read_nothing(wanted)
            await asyncio.sleep(0)
        return found

    async def read_raw(self, names: Sequence[str]) -> list[dict[str, int]]:
        """What each member's part counts for, by the names under which they count.

        Raises:
            RoostError: as `read`.

        """
        await self.wait_ready()
        found: list[dict[str, int]] = []
        left = reading.REGISTERS_A_STEP
        for name in names:
            parts = self._parts(name)
            found.append(parts)
            left -= 2 + len(parts)  # each is looked up, and made a dictionary
            if left <= 0:
                left = reading.REGISTERS_A_STEP
                await asyncio.sleep(0)
        return found

    def _parts(self, name: str) -> dict[str, int]:
        store = self.counting.check_ready()
        if store is None:
            reading.read_nothing([name])
            return {}
        counting = self.counting
        names = counting.known.facts.name_of
        return {
            counting.name if epoch == store.epoch else names(epoch): value
            for epoch, value in reading.read_raw(store, name).items()
        }

    async def search(self, prefix: str, after: str = "", limit: int = PAGE_ROWS_MAX) -> Listed:
        """Counters whose names begin so, behind `after`, at most `limit`.

        Raises:
            RoostError: as `read`.

        """
        await self.wait_ready()
        rows: list[tuple[str, int]] = []
        while len(rows) < limit:
            store = self.counting.check_ready()
            if store is None:
                return Listed([], None)
            listed = reading.search(store, prefix, after, limit - len(rows))
            rows += listed.rows
            if listed.after is None:
                return Listed(rows, None)
            after = listed.after
            await asyncio.sleep(0)
        return Listed(rows, after)
