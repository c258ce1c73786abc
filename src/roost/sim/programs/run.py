"""One seed of a program's operations: clients that visit members, and what is judged."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from roost.database import Limits, MemberEnded, Operation, ViewClosed
from roost.database.builtin import BUILTIN
from roost.errors import NotExecuted, OutcomeUnknown, Refused
from roost.faces import Closed
from roost.member import Member
from roost.objects.layouts.operations import OPERATIONS
from roost.sim.members.chronicle import Chronicle
from roost.sim.members.judge import Violation
from roost.sim.members.machines import Machine
from roost.sim.members.run import Run
from roost.sim.members.swarm import DAMAGE_SIZE_MIN, Swarm
from roost.sim.programs.errors import BadCheck, BadModel
from roost.sim.programs.history import History, judge
from roost.sim.programs.members import DatabaseMembers, Invariant, check_invariant
from roost.sim.programs.model import Judged
from roost.sim.programs.session import Session
from roost.sim.programs.tagged import Tagged, numbers_in
from roost.store import Changes

Client = Callable[[Session, random.Random], Awaitable[object]]
# What a client does between visits, and how often it comes once everything is healed: somebody
# has to look at what was left.
PAUSE_S_MEAN = 0.1
LAST_VISITS = 5
# What the world does to a client, and is no fault of its own.
_WORLDLY = (Refused, NotExecuted, OutcomeUnknown, MemberEnded, Closed, ViewClosed)
_FLAGS = {
    "kills": ("kills",),
    "power_cuts": ("power_cuts",),
    "cuts": ("partitions", "one_way_cuts", "half_open"),
    "slow_disks": ("slow_disks", "slow_batches"),
    "slow_links": ("clogs",),
    "drifting_clocks": ("drift",),
    "transfers": ("transfers",),
    "changes": ("changes",),
    "damaged_disks": ("damage",),
}
FAULTS = tuple(_FLAGS)
DAMAGE_ODDS = 0.5
_NEVER = ("strangers", "copies", "deafness", "garbage")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What is run: a program's operations, what its clients do, and how they are judged."""

    operations: Mapping[str, Operation[..., Any]]
    client: Client
    model: Judged | None
    invariant: Invariant | None
    limits: Limits
    members: int
    clients: int
    faults: frozenset[str]
    seconds: float

    def swarm(self, seed: int) -> Swarm:
        """What a seed is about: some of the faults that it may have, of some strength."""
        drawn = Swarm.draw(Chronicle(seed).stream("swarm"))
        allowed = {flag for fault in self.faults for flag in _FLAGS[fault]}
        every = {flag for flags in _FLAGS.values() for flag in flags}
        off: dict[str, Any] = dict.fromkeys((every - allowed) | {*_NEVER}, False)
        found = replace(
            drawn, size=self.members, clients=self.clients, safety_s=self.seconds, **off
        )
        # Two others must remain whole, so disks are not damaged where members are few, or come and
        # go; and they are damaged while their machine is down.
        may_damage = self.members >= DAMAGE_SIZE_MIN and not found.changes
        is_drawn = Chronicle(seed).stream("damage").random() < DAMAGE_ODDS
        damage = "damaged_disks" in self.faults and may_damage and is_drawn
        return replace(found, damage=damage, kills=found.kills or damage)


@dataclass(slots=True)
class _Visits:
    """How the clients come to their ends."""

    is_ending: bool = False
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class ProgramRun(Run):
    """One seed's world."""

    def __init__(self, seed: int, root: Path, program: Program) -> None:
        """Draw what the run is about; `root` is an empty directory for LMDB."""
        self._program = program
        self._tagged = {name: Tagged(it) for name, it in program.operations.items()}
        known = {it.name: it for it in (*program.operations.values(), *self._tagged.values())}
        self._members = DatabaseMembers(
            {**known, **BUILTIN, **OPERATIONS}, program.limits, self._on_applied
        )
        super().__init__(seed, root, self._members, program.swarm(seed))
        self.history = History()
        self._visits = _Visits()
        self._broken: Violation | None = None
        # Where each call stands in the log, and when it was applied first.
        self._indexes: dict[int, int] = {}
        self._applied_s: dict[int, float] = {}

    def begin(self, group: asyncio.TaskGroup) -> None:
        """See `Run.begin`."""
        numbers: Iterable[int] = range(self.swarm.clients)
        self._visits.tasks = [group.create_task(self._come(it)) for it in numbers]

    async def finish(self) -> None:
        """See `Run.finish`."""
        self._visits.is_ending = True
        while not all(it.done() for it in self._visits.tasks):
            await self.machines.start_all()
            await asyncio.sleep(0.1)
        if self._broken is not None:
            raise self._broken

    async def _come(self, number: int) -> None:
        """One client: it visits members that run, one after the other."""
        dice = self.chronicle.stream(f"client {number}")
        left = LAST_VISITS
        while left:
            await asyncio.sleep(dice.expovariate(1 / PAUSE_S_MEAN))
            left -= self._visits.is_ending
            databases = self._members.databases
            if not databases or self._broken is not None:
                continue
            machine = dice.choice(sorted(databases))
            await self._visit(number, machine, dice)

    async def _visit(self, number: int, machine: int, dice: random.Random) -> None:
        def say(text: str) -> None:
            self.chronicle.say(f"client {number} at m{machine}: {text}")

        database = self._members.databases[machine]
        program = self._program
        session = Session(database, self._tagged, self.history, program.model, say)
        try:
            await self._program.client(session, dice)
        except _WORLDLY:
            pass  # it was told, and said when it was; the next visit goes on
        except (Violation, BadCheck, BadModel):
            raise
        except Exception as error:
            raise Violation(f"a client failed: {type(error).__name__}: {error}") from error

    def _on_applied(self, machine: Machine, index: int, changes: Changes) -> None:
        """An entry was applied: what is wrong is said later, when it does not hit the member."""
        try:
            for number in numbers_in(changes):
                if self._indexes.setdefault(number, index) != index:
                    text = f"entries {self._indexes[number]} and {index}"
                    raise Violation(f"call {number} was done twice: {text}")
                self._applied_s.setdefault(number, asyncio.get_running_loop().time())
            if self._program.invariant is not None and machine.member is not None:
                where = machine.config.name
                check_invariant(self._program.invariant, machine.member, where=where)
        except Violation as violation:
            self._broken = self._broken or violation

    def judge(self, leader: Member) -> None:
        """See `Run.judge`."""
        program, result = self._program, self.chronicle.result
        self.history.find(self._applied_s)
        result.operations = len(self.history.calls)
        result.acknowledged = sum(it.said is not None for it in self.history.calls)
        if program.invariant is not None:
            check_invariant(program.invariant, leader, where="the last leader")
        if program.model is not None and (why := judge(self.history, program.model)):
            raise Violation(why)
