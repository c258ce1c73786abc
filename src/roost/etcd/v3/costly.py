"""Work that is costly as a whole: few at once, a bounded line, and turns by owner.

A copy of the store costs the disk as much as the store has; a hundred that are asked for at once
would fill it, and the network.  So RUNNING_MAX are sent at a time.  Who waits is let in by whose
owner (`roost.flow`) has the fewest running, and among those in the order of coming; who goes away
leaves the line.

Full?  WAITING_MAX wait in all, and of one owner as many as there is room left for; one more is
refused with `Overloaded`, etcd's "too many requests".
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from roost.errors import Overloaded
from roost.flow import Flow

RUNNING_MAX, WAITING_MAX = 4, 64


class Costly:
    """One kind of such work on one member."""

    def __init__(
        self, name: str, *, running_max: int = RUNNING_MAX, waiting_max: int = WAITING_MAX
    ) -> None:
        """Nobody is at work; `name` is what there are too many of, when there are."""
        self._name = name
        self._running_max = running_max
        self._waiting_max = waiting_max
        # By owner, those at work; and who waits.
        self._running: Counter[str] = Counter()
        self._waiting: dict[asyncio.Future[None], str] = {}
        self.running_count = self.refused_count = 0

    @property
    def waiting_count(self) -> int:
        """How many stand in line; zero when idle."""
        return len(self._waiting)

    @asynccontextmanager
    async def turn(self, flow: Flow) -> AsyncIterator[None]:
        """Wait for a turn, and have it until the block is left.

        Raises:
            Overloaded: too many wait.

        """
        owner = flow.owner
        if self.running_count < self._running_max:
            self._begin(owner)
        else:
            await self._wait(owner)
        try:
            yield
        finally:
            self._end(owner)

    async def _wait(self, owner: str) -> None:
        room = self._waiting_max - len(self._waiting)
        if sum(it == owner for it in self._waiting.values()) >= room:
            self.refused_count += 1
            raise Overloaded(f"too many {self._name} wait")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[future] = owner
        try:
            await future
        except asyncio.CancelledError:
            if self._waiting.pop(future, None) is None:
                self._end(owner)  # its turn had come
            raise

    def _begin(self, owner: str) -> None:
        self.running_count += 1
        self._running[owner] += 1

    def _end(self, owner: str) -> None:
        """A turn is over: the next begins."""
        self.running_count -= 1
        self._running[owner] -= 1
        if not self._running[owner]:
            del self._running[owner]
        if self._waiting:
            following = min(self._waiting, key=lambda it: self._running[self._waiting[it]])
            self._begin(self._waiting.pop(following))
            following.set_result(None)
