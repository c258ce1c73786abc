"""A batch while it is being made, which may take a few turns of the loop (D14).

A turn runs what costs TURN_COST_MAX.  Where others still wait, the next turn goes on with the same
batch, until it costs BATCH_COST_MAX or is large: an entry, its syncs and its messages cost the
same for few operations and for many.  It is a bound to what a follower applies in one step, too.

Between two of its turns nothing else is proposed, so that its transaction goes on to see the newest
there is.
"""

from typing import Final

from roost.member.pipeline.batch import Request
from roost.store import Txn

# What operations may cost together, in rows of about four microseconds, before the others have to
# wait for the next turn; one more operation may be as long.
TURN_COST_MAX: Final = 640
BATCH_COST_MAX: Final = 3 * TURN_COST_MAX
# What any operation costs beside what it says of itself, whatever comes of it: to have it run and
# answered, as a put of which 512 take 5 ms, and to read what was sent, of which so many bytes are
# a row: 2 to the power of that.
_ROWS_AN_OPERATION: Final = 2
_BYTES_A_ROW_LOG2: Final = 13
# And one that fails at a bug, more: its traceback in the log takes 0.17 ms.
_ROWS_A_FAILURE: Final = 40


class Making:
    """What has run so far, and what it came to: what was written, read and answered has a bound."""

    __slots__ = ("_bytes_max", "_turn_cost_max", "answer_bytes", "count_max", "ran", "txn")

    def __init__(self, txn: Txn, *, count_max: int, bytes_max: int) -> None:
        """Nothing has run."""
        self.txn = txn
        self.ran: list[Request] = []
        self.answer_bytes = 0
        self.count_max = count_max
        self._bytes_max = bytes_max
        self._turn_cost_max = 0

    def begin_turn(self) -> None:
        """Another turn has come."""
        self._turn_cost_max = min(self.txn.cost + TURN_COST_MAX, BATCH_COST_MAX)

    def begin_operation(self, body_bytes: int) -> None:
        """One of so many bytes is run: it counts though it should be refused."""
        self.txn.cost += _ROWS_AN_OPERATION + (body_bytes >> _BYTES_A_ROW_LOG2)

    def on_failure(self) -> None:
        """One has failed at a bug."""
        self.txn.cost += _ROWS_A_FAILURE

    @property
    def room_bytes(self) -> int:
        """What may still be written and answered; one more operation may have more."""
        return self._bytes_max - self.txn.size_bytes - self.answer_bytes

    @property
    def has_room(self) -> bool:
        """Whether another operation may run in it in this turn."""
        return self.txn.cost < self._turn_cost_max and self._is_small

    @property
    def goes_on(self) -> bool:
        """Whether the turn has no room any more, and the batch has."""
        return self._turn_cost_max <= self.txn.cost < BATCH_COST_MAX and self._is_small

    @property
    def _is_small(self) -> bool:
        return len(self.ran) < self.count_max and self.room_bytes > 0
