"""Operations of the application that the members of a cluster are part of (`roost.open`)."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from typing import Any, TypeVar, overload

from roost.client.aio import operations as aio
from roost.client.shapes import Data
from roost.faces import Face

Result = TypeVar("Result")


class Operations(Face):
    """What programs have declared with `roost.Operations`, by its names."""

    _inner: aio.Operations

    @overload
    def run(self, operation: str, *arguments: object, once: Data = b"") -> Any: ...

    @overload
    def run(
        self, operation: str, *arguments: object, once: Data = b"", result: type[Result]
    ) -> Result: ...

    def run(self, operation: str, *arguments: object, once: Data = b"", result: Any = Any) -> Any:
        """Run an operation, `"bank.transfer"`, on the member that leads; what it returns.

        Arguments are in the order of its parameters, and travel as MessagePack, as the result does,
        which is made a `result` when that is said.  When this returns, what it wrote is durable on
        a majority.  With `once`, a key of yours, asking again is answered by what the first run
        answered; so it is asked again by itself, too.  A refusal is not kept: one that comes when
        it was asked again, because an answer was lost, is `OutcomeUnknown`.  It is no part of a
        namespace.

        Raises:
            OperationRefused: it said no, failed, or nobody knows it; nothing of it is kept.
            OutcomeUnknown: it may have happened; ask again with `once`, or look.
            Unreachable, Busy: it did not run.
            PermissionDenied: authentication is on, and we are not root.
            TypeError: an argument cannot be sent, or what came back is no `result`.

        """
        return self._loop.call(self._inner.run(operation, *arguments, once=once, result=result))
