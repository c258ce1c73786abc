"""Which endpoint is asked first: calls are spread over those that answer, or stay at one.

One that did not answer is asked last, and asked how it is now and then, until it does.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

from roost.client.backoff import Backoff
from roost.tasks import Tasks

# An endpoint that did not answer is asked how it is after such pauses.
_PROBE_PAUSE_S_MIN, _PROBE_PAUSE_S_MAX = 0.5, 8.0


class Order:
    """The places of endpoints, and who of them answers."""

    def __init__(
        self, count: int, probe: Callable[[int], Awaitable[bool]], *, spreads: bool
    ) -> None:
        """Nobody has been asked; `probe(position)` says whether one answers now."""
        self._count = count
        self._probe = probe
        self._spreads = spreads
        self._first = random.randrange(count) if spreads else 0  # noqa: S311 - no secret
        self._answering: set[int] = set()  # they have answered, and not failed since
        self._silent: set[int] = set()  # they have failed, and not answered since
        self._is_closed = False
        # Nobody waits for a probe, and what it meets is what it looks for.
        self._probes = Tasks()

    async def close(self) -> None:
        """Ask nobody any more."""
        self._is_closed = True
        await self._probes.close()

    def is_answering(self, position: int) -> bool:
        """Whether an endpoint has answered, and not failed since."""
        return position in self._answering

    def take(self) -> list[int]:
        """Who is asked, one after the other; those that are silent come last."""
        order = [(self._first + it) % self._count for it in range(self._count)]
        if self._spreads:
            self._first = (self._first + 1) % self._count
            order.sort(key=lambda it: it in self._silent)
        return order

    def note_answer(self, position: int) -> None:
        """An endpoint has answered."""
        self._answering.add(position)
        self._silent.discard(position)
        if not self._spreads:
            self._first = position

    def note_failure(self, position: int) -> None:
        """An endpoint has not answered."""
        self._answering.discard(position)
        if self._count == 1 or self._is_closed:
            return
        if not self._spreads:
            if self._first == position:
                self._first = (position + 1) % self._count
        elif position not in self._silent:
            self._silent.add(position)
            self._probes.start(self._ask_until_it_answers(position))

    async def _ask_until_it_answers(self, position: int) -> None:
        backoff = Backoff(_PROBE_PAUSE_S_MIN, _PROBE_PAUSE_S_MAX)
        while position in self._silent:
            await asyncio.sleep(backoff.next_s())
            if await self._probe(position):
                self.note_answer(position)
