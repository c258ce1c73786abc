"""Callers that wait for what comes of commands, by the call and, once it is known, by the index.

An error is told as a result, since nobody may be there to see it raised.

Full?  PENDING_MAX may wait, one more is `Overloaded`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from roost.errors import Overloaded, RoostError
from roost.objects.errors import ResultLost
from roost.objects.layouts.machines import Kept

PENDING_MAX = 10_000
Outcome = Kept | RoostError
Future = asyncio.Future[Outcome]


class Callers:
    """Those of one machine on this member."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._by_call: dict[bytes, list[Future]] = {}
        self._by_index: dict[int, list[Future]] = {}
        self._count = 0

    @asynccontextmanager
    async def of(self, call: bytes) -> AsyncIterator[Future]:
        """Somebody waits for the command that has this call.

        Raises:
            Overloaded: as many wait as may.

        """
        if self._count >= PENDING_MAX:
            raise Overloaded(f"{PENDING_MAX} calls of machines are all that may wait here")
        future: Future = asyncio.get_running_loop().create_future()
        self._by_call.setdefault(call, []).append(future)
        self._count += 1
        try:
            yield future
        finally:
            self._count -= 1
            _remove(self._by_call, call, future)
            future.cancel()

    async def until(self, future: Future, index: int, wait_s: float) -> Outcome:
        """What comes of the command at `index`, which was written.

        Raises:
            ResultLost: nobody has said so for `wait_s`.

        """
        self._by_index.setdefault(index, []).append(future)
        try:
            async with asyncio.timeout(wait_s):
                return await future
        except TimeoutError:
            raise ResultLost(f"command {index} is in the log; this member has not carried it out "
                             f"in {wait_s} s") from None  # fmt: skip
        finally:
            _remove(self._by_index, index, future)

    def tell(self, call: bytes, outcome: Outcome) -> None:
        """A command was carried out."""
        for future in self._by_call.get(call, ()):
            _answer(future, outcome)

    def tell_all(self, outcome: Callable[[int], Outcome | None]) -> None:
        """Whoever waits for an index is told what `outcome` knows of it; None = nothing yet."""
        for index, futures in self._by_index.items():
            if (said := outcome(index)) is not None:
                for future in futures:
                    _answer(future, said)


def _remove(held: dict[Any, list[Future]], key: Any, future: Future) -> None:
    held[key].remove(future)
    if not held[key]:
        del held[key]


def _answer(future: Future, outcome: Outcome) -> None:
    if not future.done():
        future.set_result(outcome)
