"""Operations of the application that the members of a cluster are part of (`roost.open`)."""

import asyncio
from typing import Any, TypeVar, overload

from roost.client.backoff import Backoff
from roost.client.connections import Connections
from roost.client.errors import ClientError, OperationRefused, OutcomeUnknown
from roost.client.shapes import Data, bytes_of
from roost.errors import NotExecuted
from roost.proto import rpc_pb2

_RAN = b"\0"
# Of the time that is left, for one try at an endpoint that may hang.
_PART = 0.5
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
        from msgspec import MsgspecError, msgpack  # whoever runs none need not load it

        try:
            packed = msgpack.encode(arguments)
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise TypeError(f"{operation}: an argument cannot be sent: {error}") from error
        request = rpc_pb2.RunRequest(name=operation, arguments=packed, once=bytes_of(once))
        lost: list[OutcomeUnknown] = []
        said = await (self._ask_again(request, lost) if once else self._ask(request))
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
        if lost:
            words = f"an answer was lost, and asked again it was refused: {text}"
            raise OutcomeUnknown(lost[-1].code, words) from lost[-1]
        raise OperationRefused(name, text, reason)

    async def _ask(
        self, request: rpc_pb2.RunRequest, timeout_s: float | None = None
    ) -> rpc_pb2.RunResponse:
        return await self._connections.call(
            "/roost.Operations/Run", request, rpc_pb2.RunResponse, timeout_s=timeout_s
        )

    async def _ask_again(
        self, request: rpc_pb2.RunRequest, lost: list[OutcomeUnknown]
    ) -> rpc_pb2.RunResponse:
        """Ask one member after the other, and never two at once, until one answers.

        `lost` is told each try of which nobody knows whether it ran, or still will.
        """
        manners, now_s = self._connections.manners, asyncio.get_running_loop().time
        until_s, backoff = now_s() + manners.timeout_s, Backoff()
        part = _PART if manners.retries else 1.0
        while True:
            try:
                return await self._ask(request, part * (until_s - now_s()))
            except OutcomeUnknown as error:
                lost.append(error)
                last: ClientError = error
            except ClientError as error:
                if not isinstance(error, NotExecuted):
                    raise
                last = error
            pause_s = backoff.next_s()
            if not manners.retries or now_s() + pause_s >= until_s:
                raise lost[-1] if lost else last
            await asyncio.sleep(pause_s)
