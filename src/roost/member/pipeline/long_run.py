"""One operation that runs over many turns of the loop, and becomes one write set all the same.

A turn takes a slice of it.  What the slices write leaves in parts while it still runs, so disks
and peers are busy with the first when the last is written; the end is a small entry, by which
all of it takes effect (`store/long_write.py`).  Until that entry is proposed the operation has not
run: whoever leads next can run it again.

Nothing else is executed meanwhile, so what its transaction saw at its begin stays the newest
there is: what is applied in between was proposed before, or carries parts.
"""

import logging

from roost.errors import Refused, RoostError
from roost.member.errors import RequestTooLarge
from roost.member.pipeline.batch import Request, internal_error
from roost.memory import Memory
from roost.store import LAYER_BYTES_MAX, Long, Parts, Steps, Txn, close_layer

logger = logging.getLogger(__name__)


class LongRun:
    """An operation on its way; what came of it stands in `request.outcome` when it is over."""

    txn: Txn
    begun_index: int

    def __init__(self, request: Request, long: Long, memory: Memory) -> None:
        """Nothing of it runs before `begin`."""
        self.request = request
        self.parts = Parts()
        self._long = long
        self._memory = memory
        self._steps: Steps | None = None
        self.is_over = False
        # Whether what it wrote is to take effect.
        self.is_kept = True

    def begin(self, txn: Txn, index: int) -> None:
        """Run on `txn`, which sees all that is proposed, up to log position `index`."""
        self.txn = txn
        self.begun_index = index
        self._steps = self._long.run(txn)

    def go_on(self) -> None:
        """Run another slice."""
        steps, txn, request = self._steps, self.txn, self.request
        assert steps is not None, "it has begun"
        assert not self.is_over, "something is left of it"
        try:
            next(steps)
            if txn.layer.size_bytes > LAYER_BYTES_MAX:
                raise RequestTooLarge(
                    f"{request.name} would write more than {LAYER_BYTES_MAX >> 20} MiB of rows at "
                    "once: ask for a part of its keys at a time"
                )
        except StopIteration as end:
            self.is_over = True
            request.outcome = end.value
        except Refused as refusal:
            self.drop(refusal)
        except MemoryError:
            self.drop(self._memory.on_error())
        except Exception:
            # As with a short one: it costs its caller an answer, and nobody else anything.
            logger.exception("operation failed", extra={"operation": request.name})
            self.drop(internal_error(request))
        if self.is_kept:
            self._take_part()
        if self.is_over:
            close_layer(txn.layer)
        else:
            txn.layer.settle()

    def _take_part(self) -> None:
        """What this slice has written waits to be proposed."""
        try:
            self.parts.add(self.txn.take_part(is_last=self.is_over))
        except MemoryError:
            self.drop(self._memory.on_error())

    def drop(self, outcome: RoostError) -> None:
        """Have nothing of it take effect, and tell its caller why."""
        self.is_over, self.is_kept = True, False
        self.request.outcome = outcome
        self.parts.forget_waiting()
        self.close()

    @property
    def is_entry_due(self) -> bool:
        """Whether the next entry of parts is to be proposed."""
        return self.parts.is_entry_full or (self.is_over and not self.parts.is_empty)

    def close(self) -> None:
        """Run no more of it."""
        if self._steps is not None:
            self._steps.close()
