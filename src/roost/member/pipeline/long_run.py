"""One operation that runs over many turns of the loop, and becomes one write set all the same.

A turn takes a slice of it.  What the slices write leaves in parts while it still runs, so disks
and peers are busy with the first when the last is written; the end is a small entry, by which
all of it takes effect (`store/long_write.py`).  Until that entry is proposed the operation has not
run: whoever leads next can run it again.

Nothing else is executed meanwhile, so what its transaction saw at its begin stays the newest
there is: what is applied in between was proposed before, or carries parts.
"""

import logging
from collections.abc import Iterator

from roost.errors import CallerGone, Refused, RoostError
from roost.member.errors import RequestTooLarge
from roost.member.pipeline.batch import Request, internal_error
from roost.memory import Memory
from roost.store import LAYER_BYTES_MAX, Long, NothingKept, Parts, Steps, Txn, close_layer

logger = logging.getLogger(__name__)
_END = object()


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
        # What is left when all slices have run.
        self._rest: Iterator[None] | None = None
        self.is_over = False
        # Whether what it wrote is to take effect.
        self.is_kept = True

    def begin(self, txn: Txn, index: int) -> None:
        """Run on `txn`, which sees all that is proposed, up to log position `index`."""
        self.txn = txn
        self.begun_index = index
        self._steps = self._long.run(txn)

    def go_on(self) -> None:
        """Run another slice, or look at some of what they came to.

        Whatever is wrong costs its caller an answer, as with a short one, and nobody else anything:
        nothing of it has taken effect so far, and its layer is nobody else's.
        """
        assert not self.is_over, "something is left of it"
        if self.request.is_unwanted:
            self.drop(CallerGone(f"{self.request.name}: nobody waits for it any more"))
            return
        try:
            if self._rest is None:
                self._run_slice()
            else:
                self.is_over = next(self._rest, _END) is _END
        except Refused as refusal:
            self.drop(refusal)
        except NothingKept as end:
            self.drop(end.answer)
        except MemoryError:
            self.drop(self._memory.on_error())
        except Exception:
            logger.exception("operation failed", extra={"operation": self.request.name})
            self.drop(internal_error(self.request))

    def _run_slice(self) -> None:
        """Another slice; what it has written waits to be proposed."""
        steps, txn, request = self._steps, self.txn, self.request
        assert steps is not None, "it has begun"
        has_run = False
        try:
            next(steps)
        except StopIteration as end:
            has_run = True
            request.outcome = end.value
        if txn.layer.size_bytes > LAYER_BYTES_MAX:
            raise RequestTooLarge(
                f"{request.name} would write more than {LAYER_BYTES_MAX >> 20} MiB of rows at "
                "once: ask for a part of its keys at a time"
            )
        self.parts.add(txn.take_part(is_last=has_run))
        if has_run:
            self._rest = close_layer(txn.layer)
        else:
            txn.layer.put_in_order()

    def drop(self, outcome: RoostError | bytes) -> None:
        """Have nothing of it take effect, and tell its caller why."""
        self.is_over, self.is_kept = True, False
        self.request.outcome = outcome
        self.parts.forget_waiting()
        self.close()

    @property
    def is_entry_due(self) -> bool:
        """Whether the next entry of parts is to be proposed."""
        has_run = self.is_over or self._rest is not None
        return self.parts.is_entry_full or (has_run and not self.parts.is_empty)

    def close(self) -> None:
        """Run no more of it."""
        if self._steps is not None:
            self._steps.close()
