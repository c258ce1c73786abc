"""Where a request runs: here, when this member leads; else it is on its way, or parked.

A request that did not run, because nobody leads or because it reached a member that does not
lead any more, is parked and tried again until its time is over; only then its caller is told
`NoLeader`.  All that are parked are looked at with each tick, and when there is a leader; they, and
what a leader that leads no more hands back, go their way so many in a turn (`slices`), so a new
request may get there before an older one.

Full?  A flow may have as many parked as there is room left for, of PARKED_COUNT_MAX; more are
refused with `Overloaded`.  So who asks much while nobody leads leaves room for others.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping

from roost.errors import CallerGone, NoLeader, NotLeader, Overloaded, RoostError
from roost.flow import OWN, Flow
from roost.member.operation import AnyOperation
from roost.member.pipeline.batch import Request
from roost.member.pipeline.executor import Executor
from roost.member.pipeline.forwarding import Forwarder
from roost.outcome import Done, Outcome, Waiting, told
from roost.raft import Core, Role
from roost.slices import Slices

PARKED_COUNT_MAX = 10_000


class Parked:
    """A request that has not run anywhere so far, and until when it may be tried.

    No dataclass, because each request of a follower makes one (`batch.Request`).
    """

    __slots__ = ("body", "deadline_tick", "done", "flow", "name", "waiting")

    def __init__(
        self,
        deadline_tick: int,
        name: str,
        body: bytes,
        done: Done,
        flow: Flow,
        waiting: Waiting | None,
    ) -> None:
        """It has not been tried."""
        self.deadline_tick = deadline_tick
        self.name = name
        self.body = body
        self.done = done
        self.flow = flow
        self.waiting = waiting


class Router:
    """One member's way to the leader; times in ticks.

    Whether that is this member, the core's role says, here as everywhere in a member.
    """

    def __init__(
        self,
        core: Core,
        executor: Executor,
        forwarder: Forwarder,
        operations: Mapping[str, AnyOperation],
        *,
        slices: Slices,
        timeout_ticks: int,
    ) -> None:
        """Start with nothing parked."""
        self._slices = slices
        self._core = core
        self._executor = executor
        self.forwarder = forwarder
        self._operations = operations
        self._timeout_ticks = timeout_ticks
        self._ticks = 0
        # What whoever comes too late is told.
        self._end: RoostError | None = None
        self._parked: deque[Parked] = deque()
        self._parked_counts: Counter[Flow] = Counter()
        # So many of them have yet to be looked at.
        self._unseen_count = 0

    def submit(
        self,
        name: str,
        body: bytes,
        done: Done,
        flow: Flow = OWN,
        waiting: Waiting | None = None,
    ) -> None:
        """Run a new request here, or send it to the leader, or park it until there is one."""
        if self._core.role is Role.LEADER and self._end is None:
            self._executor.submit(name, self._operations[name], body, done, flow, waiting)
        else:
            deadline = self._ticks + self._timeout_ticks
            self._route(Parked(deadline, name, body, told(done), flow, waiting))

    def take_back(self, requests: Iterable[Request]) -> None:
        """Submit again what has not run here, while this member led."""
        self._slices.run(self._taking_back(requests))

    def _taking_back(self, requests: Iterable[Request]) -> Iterator[None]:
        for it in requests:
            self.submit(it.name, it.body, it.done, it.flow, it.waiting)
            yield

    def _route(self, it: Parked) -> None:
        leader, end = self._core.leader_id, self._end
        if end is not None:
            it.done(end)
            return
        if it.waiting is not None and it.waiting.is_over:
            it.done(CallerGone(f"{it.name}: nobody waits for it any more"))
            return
        if self._core.role is Role.LEADER:
            operation = self._operations[it.name]
            self._executor.submit(it.name, operation, it.body, it.done, it.flow, it.waiting)
            return
        if not leader:
            self._park(it)
            return

        def answered(outcome: Outcome) -> None:
            if isinstance(outcome, NotLeader) and self._end is None:
                self._park(it)
            else:
                it.done(outcome)

        forward, waiting = self.forwarder.forward, it.waiting
        forward(leader, it.name, it.body, answered, self._ticks, it.flow, waiting)

    def _park(self, it: Parked) -> None:
        if self._parked_counts[it.flow] >= PARKED_COUNT_MAX - len(self._parked):
            it.done(Overloaded("too many requests are parked"))
        else:
            self._parked.append(it)
            self._parked_counts[it.flow] += 1

    def retry(self) -> None:
        """There is a leader, as far as we know: try what is parked."""
        self._look_at_parked()

    def _look_at_parked(self) -> None:
        """Look at all that are parked now: try them if there is a leader, end what is too late."""
        is_begun, self._unseen_count = bool(self._unseen_count), len(self._parked)
        if self._parked and not is_begun:
            self._slices.run(self._looking())

    def _looking(self) -> Iterator[None]:
        while self._unseen_count:
            self._unseen_count -= 1
            it = self._parked.popleft()
            if it.deadline_tick <= self._ticks:
                self._leave(it.flow)
                text = "nobody has led in time: a majority must run, and reach each other"
                it.done(NoLeader(text))
            elif self._core.leader_id or self._core.role is Role.LEADER:
                self._leave(it.flow)
                self._route(it)
            else:
                self._parked.append(it)
            yield

    def _leave(self, flow: Flow) -> None:
        """One of a flow is parked no more."""
        self._parked_counts[flow] -= 1
        if not self._parked_counts[flow]:
            del self._parked_counts[flow]

    def on_deposed(self, leader: int) -> None:
        """`leader` does not lead any more."""
        self.forwarder.on_deposed(leader, self._ticks)

    def tick(self) -> None:
        """One heartbeat interval has passed: end what is too late, try the rest again."""
        self._ticks += 1
        self.forwarder.expire(self._ticks)
        self.forwarder.leave_unwanted()
        self._look_at_parked()

    def close(self, error: RoostError) -> None:
        """End every request: with an unknown outcome if it was sent, else with `error`.

        What waits in `slices` is told with the rest of them: whoever owns them finishes them.
        """
        self._end = error
        self.forwarder.give_up()
        parked, self._parked = self._parked, deque()
        self._parked_counts.clear()
        self._unseen_count = 0
        for it in parked:
            it.done(error)
