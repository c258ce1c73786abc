"""What members of other clusters tell this one, over HTTP: each waits for its turn, and the disk.

    asked -> taken, one in a turn of the loop (`Exchange.visit`) -> its step is durable: answered

Full?  COUNT_MAX wait, with BYTES_MAX in all; who comes then is refused (`Overloaded`), and comes
again.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from roost.counters import messages
from roost.counters.errors import MalformedCounters
from roost.counters.exchange import Exchange
from roost.counters.messages import Message
from roost.errors import Overloaded, RoostError

COUNT_MAX, BYTES_MAX = 64, 8 << 20
# What is answered, maybe nothing; or why it was not taken.
Told = Callable[[bytes | RoostError], None]


@dataclass(frozen=True, slots=True)
class _Visit:
    message: Message
    size: int
    told: Told


@dataclass(frozen=True, slots=True)
class _Taken:
    step: int
    answer: bytes
    told: Told


class Visiting:
    """One member's, sans I/O."""

    def __init__(self) -> None:
        """Nobody has come."""
        self._asked: deque[_Visit] = deque()
        self._taken: deque[_Taken] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        """How many wait for their turn."""
        return len(self._asked)

    def ask(self, message: Message, size: int, told: Told) -> None:
        """Have a message wait for its turn; `told` is called once."""
        is_full = len(self._asked) + len(self._taken) >= COUNT_MAX
        if is_full or self._bytes + size > BYTES_MAX:
            told(Overloaded("too much that other clusters tell waits here"))
        else:
            self._asked.append(_Visit(message, size, told))
            self._bytes += size

    def take(self, exchange: Exchange) -> int:
        """Take the one that came first, or some of it; how many rows that had.

        Raises:
            CounterStoreError: the store failed.

        """
        if not self._asked:
            return 0
        visit = self._asked[0]  # whoever raises something else tells all that are there (`fail`)
        try:
            visited = exchange.visit(visit.message)
        except (MalformedCounters, Overloaded) as error:
            self._forget_first()
            visit.told(error)
            return 0
        if visited.rest is not None:
            self._asked[0] = _Visit(visited.rest, visit.size, visit.told)
            return messages.rows_in(visit.message) - messages.rows_in(visited.rest)
        self._forget_first()
        data = b"" if visited.answer is None else messages.encode(visited.answer)
        self._taken.append(_Taken(visited.step, data, visit.told))
        return messages.rows_in(visit.message)

    def _forget_first(self) -> None:
        self._bytes -= self._asked.popleft().size

    def answer(self, durable_step: int) -> None:
        """Answer those whose step is durable."""
        while self._taken and self._taken[0].step <= durable_step:
            taken = self._taken.popleft()
            taken.told(taken.answer)

    def fail(self, error: RoostError) -> None:
        """Nobody is answered any more."""
        told = [*(it.told for it in self._taken), *(it.told for it in self._asked)]
        self._taken.clear()
        self._asked.clear()
        self._bytes = 0
        for it in told:
            it(error)
