"""The desk of v3: where calls are answered, whatever service they are for.

An answer has the header of the member that was asked (etcd api: ResponseHeader), whoever did the
work; a refusal is said in etcd's words.
"""

from collections.abc import Callable
from functools import partial

from roost.call import Call
from roost.etcd.access.judge import Checking, Judge
from roost.etcd.border import Border
from roost.etcd.model.alarms import Alarms
from roost.etcd.model.mvcc import Mvcc
from roost.etcd.model.wire import Header
from roost.etcd.v3.long_reads import LongRead, LongReads, Steps
from roost.etcd.v3.requests import fail, guarded
from roost.memory import Memory
from roost.tasks import Tasks


class Desk:
    """What all services of v3 share."""

    def __init__(
        self,
        border: Border,
        mvcc: Mvcc,
        alarms: Alarms,
        memory: Memory,
        long_reads: LongReads,
    ) -> None:
        """Let calls in by `border`, and what is long only while there is `memory`."""
        self.memory = memory
        self.border = border
        self.replica = border.replica
        self.auth = border.auth
        self.limits = border.limits
        self.mvcc = mvcc
        self.alarms = alarms
        self.long_reads = long_reads
        self.header = Header(border.replica.cluster_id, border.replica.member_id)
        # What answers calls that may take long.
        self.tasks = Tasks()

    def headed(self, body: bytes, revision: int | None = None) -> bytes:
        """An answer of this member, as of now or of a revision."""
        replica = self.replica
        if revision is None:
            revision = self.mvcc.revision(replica.view)
        return self.header.encode(revision, replica.term) + body

    def headed_result(self, result: bytes) -> bytes:
        """An answer made of what an operation returned: a revision, then what goes with it."""
        return self.headed(result[8:], int.from_bytes(result[:8], "big"))

    def write(
        self,
        call: Call,
        name: str,
        body: bytes,
        *,
        headed_only: bool = False,
        after: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        """Run an operation on the leader and answer with its result, or a header alone.

        `after(answer)` may put the answer off until what the operation began is complete.
        """

        def answer(result: bytes) -> None:
            headed = self.headed_result(result[:8] if headed_only else result)
            if after is None:
                call.reply(headed)
            else:
                after(guarded(call, lambda: call.reply(headed)))

        self.border.write(call, name, body, answer, partial(fail, call), call)

    def read(
        self,
        call: Call,
        answer: Callable[[], bytes],
        check: Callable[[Judge], Checking],
        *,
        is_local: bool = False,
    ) -> None:
        """Answer from the view, after a read barrier unless the caller wants a local answer."""

        def reply() -> None:
            call.reply(answer())

        refused = partial(fail, call)
        self.border.read(call, check, reply, refused, is_local=is_local, waiting=call)

    def read_long(
        self,
        call: Call,
        begin: Callable[[LongRead], Steps],
        check: Callable[[Judge], Checking],
        *,
        is_local: bool = False,
    ) -> None:
        """As `read`, for what may take long: `begin(read)` reads `read.view` in steps, and answers.

        It is called again, after another check, when the state had to be given up.
        """

        def ask(read: LongRead, *, is_local: bool = True) -> None:
            go_on, refused = partial(self.long_reads.run, read), partial(fail, call)
            self.border.read(call, check, go_on, refused, is_local=is_local, waiting=call)

        ask(LongRead(call, begin, ask), is_local=is_local)

    def admit_root(
        self, call: Call, allowed: Callable[[], None], *, may_be_stale: bool = False
    ) -> None:
        """Go on if it is root who asks, or nobody has to be anybody."""
        self.border.admit_root(call, allowed, partial(fail, call), may_be_stale=may_be_stale)
