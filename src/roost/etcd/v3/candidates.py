"""Who of an election's candidates stands first, found in steps however many there are (D14).

The lowest create revision leads, and is found by a walk over all candidates, as a long read.
Those who ask at the same time share one walk: one state of the store has one answer.

Full?  One walk an election, and long reads have their own bounds; who waits for it is somebody
whose call is there anyway.
"""

import asyncio
from collections.abc import Callable

from roost.call import Caller, Gathered, Sending
from roost.etcd import errors
from roost.etcd.model.rows import ROWS_MAX, CurrentRows
from roost.etcd.model.wire import read_origin
from roost.etcd.v3.desk import Desk
from roost.etcd.v3.long_reads import LongRead, Steps
from roost.proto.ranges import prefix_end


class _Walk:
    """A read of our own, in the place of a call; its answer resolves a future."""

    token = certificate_name = address = ""

    def __init__(self, caller: Caller) -> None:
        """It takes its turns among the reads of `caller`."""
        self.flow = caller.flow
        self.future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        # Of the state that is walked.
        self.revision = 0

    @property
    def is_over(self) -> bool:
        """Whether it was answered."""
        return self.future.done()

    def reply(self, message: bytes) -> None:
        """The KeyValue of who stands first; b"" when nobody does."""
        self.future.set_result(message)

    def reply_in_parts(self, size: int) -> Sending:
        """No answer is that long, but a call can."""
        return Gathered(size, self.reply)

    def fail(self, code: int, text: str) -> None:
        """It was refused."""
        self.future.set_exception(errors.refused(code, text))


class Candidates:
    """Of all elections of one member."""

    def __init__(self, desk: Desk) -> None:
        """Nobody has asked."""
        self._desk = desk
        self._walks: dict[bytes, _Walk] = {}

    async def first(self, caller: Caller, prefix: bytes) -> bytes:
        """The KeyValue of who stands first, as applied here now or later; b"" when nobody does.

        Raises:
            RoostError: there are too many long reads, or it took too long.

        """
        mvcc, replica = self._desk.mvcc, self._desk.replica
        asked = mvcc.revision(replica.view)
        while True:
            walk = self._walks.get(prefix) or self._start(caller, prefix)
            found = await asyncio.shield(walk.future)
            if walk.revision >= asked:
                return found

    def _start(self, caller: Caller, prefix: bytes) -> _Walk:
        walk = self._walks[prefix] = _Walk(caller)

        def end(future: "asyncio.Future[bytes]") -> None:
            del self._walks[prefix]
            future.exception()  # told to whoever waits, if somebody still does

        def begin(read: LongRead) -> Steps:
            walk.revision = self._desk.mvcc.revision(read.view)
            return self.search(read, prefix, walk.reply)

        walk.future.add_done_callback(end)
        run = self._desk.long_reads.run
        run(LongRead(walk, begin, run))
        return walk

    def search(self, read: LongRead, prefix: bytes, tell: Callable[[bytes], None]) -> Steps:
        """Find who stands first in the state of `read`: its KeyValue, or b"" when nobody does."""
        rows = CurrentRows(self._desk.mvcc, read.view, prefix, prefix_end(prefix))
        first = b""
        lowest = 0
        while True:
            for _, encoded in rows.take():
                created = read_origin(encoded).create_revision
                if not first or created < lowest:
                    first, lowest = encoded, created
            if rows.is_done:
                break
            yield ROWS_MAX
        read.last_cost = ROWS_MAX
        tell(first)
