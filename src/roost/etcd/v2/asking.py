"""What modules ask of the tree: changes by the leader, and reads that miss nothing."""

import asyncio

from roost.call import Caller
from roost.errors import OutcomeUnknown, RoostError
from roost.etcd import errors
from roost.etcd.access.judge import Judge
from roost.etcd.border import Border
from roost.etcd.v2 import changes
from roost.etcd.v2.changes import CHANGE, Change, Done
from roost.etcd.v2.faults import Fault
from roost.etcd.v2.nodes import Trees
from roost.etcd.v2.reads import Reads
from roost.outcome import settle_future


class TreeAccess:
    """The tree, for those who serve something that is kept in it."""

    def __init__(self, border: Border, trees: Trees, reads: Reads, *, request_s: float) -> None:
        """A request has so many seconds."""
        self._border = border
        self.trees = trees
        self.reads = reads
        self._request_s = request_s

    async def change(self, caller: Caller, asked: Change) -> Done:
        """Have the leader do it; when this returns, this member has applied it.

        Raises:
            Fault: it was refused.
            RoostError: it was not done, or nobody knows.

        """
        border = self._border
        if border.replica.is_learner:
            raise errors.not_for_learner()
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def settle(outcome: bytes | RoostError) -> None:
            settle_future(future, outcome)

        border.write(caller, CHANGE, changes.encode(asked), settle, settle)
        outcome = changes.decode_outcome(await self._in_time(future))
        if isinstance(outcome, Done):
            return outcome
        raise Fault(outcome.reason, outcome.cause, outcome.index)

    async def admit(self, caller: Caller) -> None:
        """Return when this member has all that was acknowledged, and the caller may ask.

        Raises:
            RoostError: it has not, or may not.

        """
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._border.admit(
            caller,
            Judge.need_root,
            lambda: settle_future(future, b""),
            lambda error: settle_future(future, error),
        )
        await self._in_time(future)

    async def _in_time(self, future: asyncio.Future[bytes]) -> bytes:
        try:
            async with asyncio.timeout(self._request_s):
                return await future
        except TimeoutError:
            raise OutcomeUnknown("no answer came in time") from None
