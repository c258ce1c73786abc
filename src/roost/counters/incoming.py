"""Messages of partners that wait for their turn: one is taken in a turn of the loop.

Full?  COUNT_MAX wait, EARLY_MAX while the store is being opened, and BYTES_MAX in all, which is
more than any one has; what comes then is dropped, and its partner asks again.
"""

from collections import deque
from dataclasses import dataclass

from roost.counters.messages import Message

COUNT_MAX, EARLY_MAX = 1_000, 100
BYTES_MAX = 16 << 20


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message of `size` bytes, and who sent it."""

    partner: int
    message: Message
    size: int


class Incoming:
    """One member's, sans I/O."""

    def __init__(self) -> None:
        """Nothing waits."""
        self._waiting: deque[Arrived] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def put(self, arrived: Arrived, count_max: int) -> bool:
        """Have one wait for its turn; False when there is no room for it."""
        if len(self._waiting) >= count_max or self._bytes + arrived.size > BYTES_MAX:
            return False
        self._waiting.append(arrived)
        self._bytes += arrived.size
        return True

    def put_first(self, arrived: Arrived) -> None:
        """Have the rest of what was taken taken next; it has room, as it had."""
        self._waiting.appendleft(arrived)
        self._bytes += arrived.size

    def take(self) -> Arrived | None:
        """The one that came first."""
        if not self._waiting:
            return None
        arrived = self._waiting.popleft()
        self._bytes -= arrived.size
        return arrived

    def clear(self) -> None:
        """Nobody is listened to any more."""
        self._waiting.clear()
        self._bytes = 0
