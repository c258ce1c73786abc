"""Where operations run: the one operation that a database registers with its member.

All operations of a program are one to the member, `RUN_OPERATION`, so that a name that is not known
on the member that leads is refused by name, and costs no link.  What an operation raises is an
answer, too: `Refused` as it is, anything else as `OperationFailed`, with the traceback in the log
of the member that led, `sys.exit` as well; a fault of the device is the member's.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from roost import errors
from roost.database import once
from roost.database.answers import RAN, Asked, decode_asked, encode_refusal
from roost.database.errors import BadDeclaration, OperationFailed, UnknownOperation
from roost.database.limits import Limits
from roost.database.moments import Clock
from roost.database.operations import LongOperation, Operation, TakesLonger
from roost.database.rows import TxnRows
from roost.database.transaction import Transaction
from roost.errors import DeviceFault
from roost.member.pipeline.forwarded import BODY_BYTES_MAX
from roost.outcome import PROGRAM_FAULTS, in_words
from roost.store import Long, NothingKept, Steps, Txn

logger = logging.getLogger(__name__)
RESULT_BYTES_MAX = BODY_BYTES_MAX - len(RAN)
# What it costs to say no, in rows: 320 that read one row and are refused took 3.1 ms.  And to fail:
# a traceback in the log takes 0.17 ms.
_ROWS_A_REFUSAL: Final = 2
_ROWS_A_FAILURE: Final = 40


@dataclass(frozen=True, slots=True)
class RunnerFigures:
    """What ran here, where it led; `slow_count` took longer than `Limits.hold_s`."""

    run_count: int
    refused_count: int
    failed_count: int
    slow_count: int


class Runner:
    """Runs operations by their names."""

    def __init__(
        self,
        operations: Mapping[str, Operation[Any, Any]],
        limits: Limits,
        *,
        clock_s: Callable[[], float],
        wall_s: Callable[[], float],
        clock_number: int,
    ) -> None:
        """Know `operations`; `clock_s` never goes back, and has a number; `wall_s` is the date."""
        self._operations = dict(operations)
        # Told of each name that is asked for here and not known; whoever has it can declare it.
        self.on_unknown: Callable[[str], None] = lambda _name: None
        self._limits = limits
        self._clock_s = clock_s
        self._wall_s = wall_s
        self.clock = Clock(clock_number, clock_s)
        self._run_count = self._refused_count = self._failed_count = self._slow_count = 0

    def declare(self, operation: Operation[Any, Any]) -> None:
        """Know one more.

        Raises:
            BadDeclaration: there is another one of that name.

        """
        if self._operations.setdefault(operation.name, operation) is not operation:
            raise BadDeclaration(f"{operation.name} is declared twice: rename one of them")

    def figures(self) -> RunnerFigures:
        """A snapshot."""
        return RunnerFigures(
            self._run_count, self._refused_count, self._failed_count, self._slow_count
        )

    def run(self, txn: Txn, body: bytes) -> bytes | Long:
        """Run what is asked, and answer, or say how it is run over many turns; see `answers`."""
        mark = txn.savepoint()
        begun_s = self._clock_s()
        self._run_count += 1
        name = "?"
        try:
            asked = decode_asked(body)
            name = asked.name
            operation = self._known(name)
            if not isinstance(operation, LongOperation):
                return RAN + self._run(txn, operation.run, asked)
            if operation.mostly_short:
                try:
                    return RAN + self._run(txn, operation.run_if_short, asked)
                except TakesLonger:
                    txn.rollback(mark)
            return Long(partial(self._run_in_slices, operation, asked))
        except errors.Refused as refusal:
            txn.rollback(mark)
            txn.cost += _ROWS_A_REFUSAL
            self._refused_count += 1
            return encode_refusal(refusal)
        except (DeviceFault, KeyboardInterrupt):
            raise
        except PROGRAM_FAULTS as error:
            txn.rollback(mark)
            txn.cost += _ROWS_A_FAILURE
            self._failed_count += 1
            logger.exception("operation %s failed", name)
            return encode_refusal(OperationFailed(f"{name}: {in_words(error)}"))
        finally:
            self._note(name, self._clock_s() - begun_s)

    def _known(self, name: str) -> Operation[Any, Any]:
        operation = self._operations.get(name)
        if operation is None:
            self.on_unknown(name)
            raise UnknownOperation(
                f"the member that leads knows no operation {name!r}: open all members with "
                "the same operations=[...]"
            )
        return operation

    def _run_in_slices(self, operation: LongOperation[Any, Any], asked: Asked, txn: Txn) -> Steps:
        rows = TxnRows(txn, self._limits)
        transaction = Transaction(rows, self.clock.moment)
        steps = operation.run_in_slices(transaction, asked.arguments)
        if asked.once is not None:
            steps = once.run_once_in_slices(rows, asked, steps, self._limits, self._wall_s())
        try:
            while True:
                try:
                    next(steps)
                except StopIteration as end:
                    result: bytes = end.value
                    rows.finish_long()
                    return RAN + result
                rows.end_slice()
                yield
        except errors.Refused as refusal:
            self._refused_count += 1
            raise NothingKept(encode_refusal(refusal)) from refusal
        finally:
            transaction.end()

    def _run(
        self, txn: Txn, run: Callable[[Transaction, memoryview], bytes], asked: Asked
    ) -> bytes:
        rows = TxnRows(txn, self._limits)
        transaction = Transaction(rows, self.clock.moment)
        try:
            if asked.once is None:
                result = run(transaction, asked.arguments)
            else:
                result = once.run_once(
                    rows,
                    asked,
                    lambda: run(transaction, asked.arguments),
                    self._limits,
                    self._wall_s(),
                )
            if len(result) > RESULT_BYTES_MAX:
                # On its way to another member it would be lost, and what was done would not.
                raise OperationFailed(
                    f"{asked.name} returned {len(result)} bytes, and an answer has "
                    f"{RESULT_BYTES_MAX} at most: return less, and read the rest from its tree"
                )
            rows.finish()
            return result
        finally:
            rows.note_cost()
            transaction.end()

    def _note(self, name: str, took_s: float) -> None:
        if took_s > self._limits.hold_s:
            self._slow_count += 1
            logger.warning(
                "operation %s held the member up for %.0f ms: do less in it", name, 1000 * took_s
            )
