"""Light operations on the leader: they write nothing, and wait for nothing that does.

The queue of an executor stands still while the store makes room, while as many entries are on their
way as may be, and while an operation runs over many turns.  To write has to wait for that.  Who
keeps a lease alive must not: ten seconds of somebody's deletion would end leases of all others,
though each had been renewed in time.

Each runs in the turn in which it comes, on what is proposed by then, and is answered as whatever
wrote nothing: when all it saw is committed, and this member still led then.  An operation over
many turns that is under way is not seen: it comes behind.

Full?  COUNT_MAX wait for their turn, of BODY_BYTES_MAX each, and TURN_COUNT_MAX of them run in
one, or those that have read TURN_COST_MAX rows; what is more or larger goes into the queue, which
counts bytes, and refuses what is too much.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from roost.errors import CallerGone, Refused
from roost.member.operation import Light
from roost.member.pipeline.batch import Request, internal_error
from roost.store import Txn

logger = logging.getLogger(__name__)
COUNT_MAX, BODY_BYTES_MAX = 2000, 4096
# About two milliseconds.
TURN_COUNT_MAX: Final = 100
# And so many rows, of those that read more than a few.
TURN_COST_MAX: Final = 500


class Lights:
    """Those that wait for this turn, or one of the next."""

    def __init__(self) -> None:
        """None waits."""
        self._waiting: deque[Request] = deque()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def take(self, request: Request) -> bool:
        """Have it wait for its turn; False = there are too many, or it is too large."""
        if len(self._waiting) >= COUNT_MAX or len(request.body) > BODY_BYTES_MAX:
            return False
        self._waiting.append(request)
        return True

    def take_all(self) -> list[Request]:
        """None waits any more."""
        found = list(self._waiting)
        self._waiting.clear()
        return found

    def run(self, txn: Txn, put_off: Callable[[Request], object]) -> list[Request]:
        """Run a turn's; those that are to be answered.  Others are told, or `put_off`."""
        ran: list[Request] = []
        for _ in range(min(len(self._waiting), TURN_COUNT_MAX)):
            if txn.cost >= TURN_COST_MAX:
                break
            request = self._waiting.popleft()
            if request.is_unwanted:
                request.tell(CallerGone(f"{request.name}: nobody waits for it any more"))
                continue
            operation = request.operation
            assert isinstance(operation, Light), "only such operations come here"
            try:
                outcome = operation.now(txn, request.body)
                assert txn.is_empty, "what is light writes nothing"
            except Refused as refusal:
                request.outcome = refusal
            except Exception:
                logger.exception("operation failed", extra={"operation": request.name})
                request.outcome = internal_error(request)
            else:
                if outcome is None:
                    put_off(request)
                    continue
                request.outcome = outcome
            ran.append(request)
        return ran
