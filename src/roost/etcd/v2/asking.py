"""What modules ask of the tree, changes by the leader and reads that miss nothing; and waiting."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from roost.call import Caller
from roost.errors import OutcomeUnknown, RoostError
from roost.etcd import errors
from roost.etcd.border import Border
from roost.etcd.v2.changes import CHANGE
from roost.etcd.v2.faults import Fault
from roost.etcd.v2.gate import Gate
from roost.etcd.v2.nodes import Trees
from roost.etcd.v2.reads import Reads
from roost.etcd.v2.users import Wanted
from roost.etcd.v2.values import Change, Done, decode_outcome, encode
from roost.outcome import settle_future

Result = TypeVar("Result")


async def in_time(asked: Awaitable[Result], request_s: float) -> Result:
    """What comes of something that a request asks for.

    Raises:
        OutcomeUnknown: nothing came within its seconds.

    """
    try:
        async with asyncio.timeout(request_s):
            return await asked
    except TimeoutError:
        raise OutcomeUnknown("no answer came in time") from None


async def answer_to(
    ask: Callable[[Callable[[bytes], None], Callable[[RoostError], None]], None], request_s: float
) -> bytes:
    """The answer to what `ask` asks for.

    Raises:
        RoostError: it was refused, or nobody knows what became of it.

    """
    future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def settle(outcome: bytes | RoostError) -> None:
        settle_future(future, outcome)

    ask(settle, settle)
    return await in_time(future, request_s)


class TreeAccess:
    """The tree, for those who serve something that is kept in it."""

    def __init__(
        self, border: Border, gate: Gate, trees: Trees, reads: Reads, *, request_s: float
    ) -> None:
        """A request has so many seconds."""
        self._border = border
        self._gate = gate
        self.trees = trees
        self.reads = reads
        self._request_s = request_s

    async def change(self, caller: Caller, asked: Change) -> Done:
        """Have the leader do it; when this returns, this member has applied it.

        Raises:
            Fault: it was refused.
            RoostError: it was not done, or nobody knows.

        """
        if self._border.replica.is_learner:
            raise errors.not_for_learner()
        body = encode(asked)
        said = await answer_to(
            lambda done, refused: self._gate.write(caller, CHANGE, body, done, refused),
            self._request_s,
        )
        outcome = decode_outcome(said)
        if isinstance(outcome, Done):
            return outcome
        raise Fault(outcome.reason, outcome.cause, outcome.index)

    async def admit(self, caller: Caller, directory: bytes) -> None:
        """Return when this member has all that was acknowledged, and the caller may read it.

        Raises:
            RoostError: it has not, or may not.

        """
        wanted = Wanted(directory, writes=False, is_recursive=False)

        def ask(done: Callable[[bytes], None], refused: Callable[[RoostError], None]) -> None:
            self._gate.admit(caller, wanted, lambda: done(b""), refused)

        await answer_to(ask, self._request_s)
