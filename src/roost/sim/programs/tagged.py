"""Operations whose calls have numbers, which stand in what they write.

Whoever lost a call's answer does not know whether it happened, but its write set is in the log of
every member, or of none.  So each call of a run has a number, in front of its arguments, and an
operation that wrote something is annotated with it: when an entry is applied it is known whose
calls happened in it, and that none of them did before.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Self

from roost.database import Operation, Transaction
from roost.database.operations import P, R
from roost.store import Changes

# The last of the kinds that are a program's own: in the simulator this one is not.
KIND = 65535
_NUMBER_BYTES = 8
_MARK = "!"


class Tagged(Operation[P, R]):
    """An operation, as members and clients of a run know it."""

    def __init__(self, operation: Operation[P, R]) -> None:
        """What `operation` is, with number 0."""
        super().__init__(operation.name, operation.function)
        # Beside the operation itself, which a client may run without being judged.
        self.name += _MARK
        self._number = 0

    def call(self, number: int) -> Self:
        """The same, for one call."""
        made = copy.copy(self)
        made._number = number  # noqa: SLF001 - it is one of us
        return made

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """See `Operation.encode`."""
        return self._number.to_bytes(_NUMBER_BYTES, "big") + super().encode(args, kwargs)

    def run(self, txn: Transaction, body: bytes | memoryview) -> bytes:
        """See `Operation.run`; what wrote nothing gets no entry for a number's sake."""
        rows = txn.rows()
        begun = rows.savepoint()
        content = super().run(txn, body[_NUMBER_BYTES:])
        if rows.savepoint() != begun:
            txn.annotate(KIND, bytes(body[:_NUMBER_BYTES]))
        return content


def numbers_in(changes: Changes) -> Iterator[int]:
    """The numbers of all calls that happened in an entry."""
    for kind, data in changes.annotations:
        if kind == KIND:
            yield int.from_bytes(data, "big")
