"""Where a request runs: here, when this member leads; else it is on its way, or parked.

A request that did not run, because nobody leads or because it reached a member that does not
lead any more, is parked and tried again until its time is over; only then its caller is told
`NoLeader`.

Full?  A flow may have as many parked as there is room left for, of PARKED_COUNT_MAX; more are
refused with `Overloaded`.  So who asks much while nobody leads leaves room for others.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from roost.errors import CallerGone, NoLeader, NotLeader, Overloaded, RoostError
from roost.flow import OWN, Flow
from roost.member.operation import Changing, Operation
from roost.member.pipeline.executor import Executor
from roost.member.pipeline.forwarding import Forwarder
from roost.outcome import Done, Outcome, Waiting, told
from roost.raft import Core, Role

PARKED_COUNT_MAX = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Parked:
    """A request that has not run anywhere so far, and until when it may be tried."""

    deadline_tick: int
    name: str
    body: bytes
    done: Done
    flow: Flow
    waiting: Waiting | None


class Router:
    """One member's way to the leader; times in ticks.

    Whether that is this member, the core's role says, here as everywhere in a member.
    """

    def __init__(
        self,
        core: Core,
        executor: Executor,
        forwarder: Forwarder,
        operations: Mapping[str, Operation | Changing],
        *,
        timeout_ticks: int,
    ) -> None:
        """Start with nothing parked."""
        self._core = core
        self._executor = executor
        self.forwarder = forwarder
        self._operations = operations
        self._timeout_ticks = timeout_ticks
        self._ticks = 0
        self._is_closed = False
        self._parked: list[Parked] = []
        self._parked_counts: Counter[Flow] = Counter()

    def submit(
        self,
        name: str,
        body: bytes,
        done: Done,
        flow: Flow = OWN,
        waiting: Waiting | None = None,
    ) -> None:
        """Run a new request here, or send it to the leader, or park it until there is one."""
        if self._core.role is Role.LEADER:
            self._executor.submit(name, self._operations[name], body, done, flow, waiting)
        else:
            deadline = self._ticks + self._timeout_ticks
            self._route(Parked(deadline, name, body, told(done), flow, waiting))

    def _route(self, it: Parked) -> None:
        leader = self._core.leader_id
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
            if isinstance(outcome, NotLeader) and not self._is_closed:
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

    def _take_parked(self) -> list[Parked]:
        parked, self._parked = self._parked, []
        self._parked_counts.clear()
        return parked

    def retry(self) -> None:
        """There is a leader, as far as we know: try what is parked."""
        for it in self._take_parked():
            self._route(it)

    def on_deposed(self, leader: int) -> None:
        """`leader` does not lead any more."""
        self.forwarder.on_deposed(leader, self._ticks)

    def tick(self) -> None:
        """One heartbeat interval has passed: end what is too late, try the rest again."""
        self._ticks += 1
        self.forwarder.expire(self._ticks)
        self.forwarder.leave_unwanted()
        if not self._parked:
            return
        late = [it for it in self._parked if it.deadline_tick <= self._ticks]
        self._parked = [it for it in self._parked if it.deadline_tick > self._ticks]
        self._parked_counts = Counter(it.flow for it in self._parked)
        for it in late:
            it.done(NoLeader("nobody has led in time: a majority must run, and reach each other"))
        if self._core.leader_id:
            self.retry()

    def close(self, error: RoostError) -> None:
        """End every request: with an unknown outcome if it was sent, else with `error`."""
        self._is_closed = True
        self.forwarder.give_up()
        for it in self._take_parked():
            it.done(error)
