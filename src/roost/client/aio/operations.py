"""Operations of the application that the members of a cluster are part of (`roost.open`)."""

from typing import Any, TypeVar, overload

from roost.client.connections import Connections
from roost.client.errors import ClientError, OperationRefused
from roost.client.shapes import Data, bytes_of
from roost.proto import rpc_pb2

_RAN = b"\0"
Result = TypeVar("Result")


class Operations:
    """What programs have declared with `roost.Operations`, by its names."""

    _connections: Connections

    @overload
    async def run(self, operation: str, *arguments: object, once: Data = b"") -> Any: ...
    @overload
    async def run(
        self, operation: str, *arguments: object, once: Data = b"", result: type[Result]
    ) -> Result: ...
    async def run(
        self, operation: str, *arguments: object, once: Data = b"", result: Any = Any
    ) -> Any:
        """Run an operation, `"bank.transfer"`, on the member that leads; what it returns.

        Arguments are in the order of its parameters, and travel as MessagePack, as the result does,
        which is made a `result` when that is said.  When this returns, what it wrote is durable on
        a majority.  With `once`, a key of yours, asking again is answered by what the first run
        answered; so it is asked again by itself, too.  It is no part of a namespace.

        Raises:
            OperationRefused: it said no, failed, or nobody knows it; nothing of it is kept.
            OutcomeUnknown: it may have happened; ask again with `once`, or look.
            Unreachable, Busy: it did not run.
            PermissionDenied: authentication is on, and we are not root.
            TypeError: an argument cannot be sent, or what came back is no `result`.

        """
        from msgspec import MsgspecError, msgpack  # whoever runs none need not load it

        try:
            packed = msgpack.encode(arguments)
        except (MsgspecError, TypeError, OverflowError, RecursionError) as error:
            raise TypeError(f"{operation}: an argument cannot be sent: {error}") from error
        request = rpc_pb2.RunRequest(name=operation, arguments=packed, once=bytes_of(once))
        said = await self._connections.call(
            "/roost.Operations/Run", request, rpc_pb2.RunResponse, is_repeatable=bool(once)
        )
        kind, content = said.answer[:1], said.answer[1:]
        try:
            if kind == _RAN:
                return msgpack.decode(content, type=result)
            name, text, reason = msgpack.decode(content, type=list[str])
        except (MsgspecError, ValueError) as error:
            if kind == _RAN and content:
                raise TypeError(f"{operation} has returned something else: {error}") from error
            text = f"the answer to {operation} cannot be read: {error}"
            raise ClientError("INTERNAL", text) from error
        raise OperationRefused(name, text, reason)
