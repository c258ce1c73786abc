"""One simulated run of a cluster: two phases, and what must hold whatever is done to it.

The seed draws everything: how many members, which kinds of fault and how often, delays.  In the
first phase anything may fail.  Then every member runs, every direction is open, and within HEAL_S
the cluster must have one leader, serve, and hold the same everywhere.

What is checked after every delivery stands in `judge`, and no turn of the loop may be longer than
`turns` says.  Who the clients are, and what must be so of what they were told, is said by whoever
derives a run: `simulation` with etcd's clients, `roost.sim.operations` with a program's.
"""

import asyncio
import logging
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from roost.member import Member
from roost.raft import Role
from roost.raft.quorum import has_quorum
from roost.sim.members.chronicle import Chronicle, Result
from roost.sim.members.disk import PowerCut
from roost.sim.members.judge import Judge, Violation, dump
from roost.sim.members.machines import Machine, Machines, Resident
from roost.sim.members.nemesis import Nemesis
from roost.sim.members.network import SimNetwork
from roost.sim.members.swarm import Swarm
from roost.sim.members.turns import TurnLoop, Turns, aside

HEAL_S = 30.0
# LMDB's files of a run are small and short-lived: memory, where there is a place for it.
_SCRATCH = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - made by mkdtemp


@contextmanager
def quiet_scratch() -> Iterator[Path]:
    """An empty directory for one run, and nothing logged meanwhile."""
    root = Path(tempfile.mkdtemp(prefix="roost-sim-", dir=_SCRATCH))
    was_disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield root
    finally:
        logging.disable(was_disabled)
        shutil.rmtree(root, ignore_errors=True)


class Stranded(Exception):
    """Nobody left alive has a configuration in which those alive are a majority.

    Removing one of two members can do that, when the survivor crashes before it knows that the
    removal is committed (checklist 135).
    """


class Run(ABC):
    """One seed's world."""

    def __init__(
        self,
        seed: int,
        root: Path,
        resident: Resident,
        swarm: Swarm | None = None,
        turns: Turns | None = None,
    ) -> None:
        """Draw what the run is about, unless told; `root` is an empty directory for LMDB.

        `resident` opens the members; `turns` takes the measure of every turn of the loop.
        """
        self.turns = turns or Turns()
        self.chronicle = Chronicle(seed)
        stream = self.chronicle.stream
        self.swarm = swarm or Swarm.draw(stream("swarm"))
        self.network = SimNetwork(
            stream("network"),
            delay_s_mean=self.swarm.delay_s_mean,
            window_bytes=self.swarm.window_bytes,
            leaves_half_open=self.swarm.half_open,
        )
        self.machines = Machines(
            self.chronicle, self.network, self.swarm, root, resident=resident, look=self._look
        )
        self._judge = Judge()
        self._terms_won: set[tuple[int, int]] = set()
        self._failure: BaseException | None = None

    def run(self) -> Result:
        """Run to the end; a broken promise stands in the result."""
        chronicle, loop = self.chronicle, TurnLoop(self.turns)
        result = chronicle.result
        asyncio.set_event_loop(loop)
        loop.set_exception_handler(self._on_loop_error)
        self.turns.start()
        try:
            # What this task does is starting members, and looking at them.
            self.turns.exempt = loop.create_task(self._run())
            loop.run_until_complete(self.turns.exempt)
        except BaseExceptionGroup as group:
            first = _first_of(group)
            if isinstance(first, Stranded):
                result.is_stranded = True
            elif isinstance(first, Violation):
                result.violation = str(first)
            else:
                raise first from group
        except Violation as violation:
            result.violation = str(violation)
        finally:
            self.turns.stop()
            result.virtual_s = loop.time()
            result.events = self.network.delivered
            chronicle.digest.update(self.network.digest.digest())
            result.digest = chronicle.digest.hexdigest()
            loop.run_until_complete(_end_tasks())
            loop.close()
            asyncio.set_event_loop(None)
        return result

    def _on_loop_error(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        if isinstance(error, PowerCut):
            self.machines.on_power_cut(error)
        elif self._failure is None and isinstance(error, BaseException):
            self._failure = error

    async def _run(self) -> None:
        swarm, machines = self.swarm, self.machines
        self.chronicle.say(f"seed {self.chronicle.seed}: {swarm}")
        for _ in range(swarm.size):
            machines.add()
        for machine in machines:
            await machines.start(machine)
        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(self._watch())
            self.begin(group)
            await Nemesis(machines, self.network, self.chronicle, swarm).rage()
            await self._heal()
            await self.finish()
            await self._until_all_even()
            machines.end()
            watcher.cancel()
        self._judge_end()

    @abstractmethod
    def begin(self, group: asyncio.TaskGroup) -> None:
        """Start the clients, as tasks of `group`."""

    @abstractmethod
    async def finish(self) -> None:
        """Everything is healed: have the clients come to their ends."""

    @abstractmethod
    def judge(self, leader: Member) -> None:
        """All members hold what `leader` does: see whether that is what clients were told.

        Raises:
            Violation: it is not.

        """

    async def _watch(self) -> None:
        """Look at every member now and then, whatever happens or does not."""
        while True:
            self._check()
            await asyncio.sleep(0.01)

    def _check(self) -> None:
        if isinstance(self._failure, Violation):
            raise self._failure
        if self.turns.excess:
            raise Violation(f"a turn of the loop was too long: {self.turns.excess}")
        if self._failure is not None:
            raise Violation(f"an error nobody took: {self._failure!r}") from self._failure
        for machine in self.machines:
            self._look(machine)

    def _look(self, machine: Machine) -> None:
        """A member was told something, or some time has passed: look at it."""
        member = machine.member
        if member is None:
            return
        # Most deliveries move nothing that is judged.
        if machine.is_damaged or not self._judge.has_seen(machine.number, machine.lives, member):
            with aside():
                self._look_at(machine, member)

    def _look_at(self, machine: Machine, member: Member) -> None:
        number = machine.number
        core, chronicle = member.core, self.chronicle
        if core.role is Role.LEADER and (core.term, core.id) not in self._terms_won:
            self._terms_won.add((core.term, core.id))
            chronicle.result.elections += 1
            chronicle.say(f"m{number} leads term {core.term} from {core.last_index}")
            self._judge.on_leader(member)
        if machine.is_damaged and not member.journal.damaged and not core.is_fenced:
            machine.is_damaged = False
            chronicle.result.repaired += 1
            chronicle.say(f"m{number} is whole again")
        self._judge.look(number, machine.lives, member)

    async def _heal(self) -> None:
        """Everything runs and talks; within HEAL_S somebody must lead and serve."""
        self.chronicle.say("everything heals")
        self.network.heal()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + HEAL_S
        while not self._is_serving():
            if loop.time() > deadline:
                if self._is_stranded():
                    raise Stranded
                raise Violation(f"nobody leads {HEAL_S} s after everything healed")
            await self.machines.start_all()
            await asyncio.sleep(0.1)

    def _is_stranded(self) -> bool:
        running = [it.member for it in self.machines if it.member is not None]
        alive = {it.member_id for it in running}
        return not any(
            has_quorum(it.core.configuration, lambda node: node in alive) for it in running
        )

    def _is_serving(self) -> bool:
        leader = self.machines.leader()
        if leader is None or leader.core.transfer_target:
            return False
        members = set(leader.core.configuration.all_nodes())
        known = {
            it.member.leader_id
            for it in self.machines
            if it.member and it.member.member_id in members
        }
        return known == {leader.member_id}

    async def _until_all_even(self) -> None:
        """Wait until every member of the configuration holds the same."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + HEAL_S
        while True:
            await self.machines.start_all()
            leader = self.machines.leader()
            if leader is not None and self.is_even(leader):
                return
            if loop.time() > deadline:
                raise Violation(f"members are not even and idle {HEAL_S} s after the last write")
            await asyncio.sleep(0.1)

    def _members_of(self, leader: Member) -> list[Member]:
        nodes = leader.core.configuration.all_nodes()
        return [it.member for it in self.machines if it.member and it.member.member_id in nodes]

    def is_even(self, leader: Member) -> bool:
        """Whether the members of a leader's configuration hold the same, and are idle."""
        expected = leader.core.last_index
        # Somebody added and never started has no machine that holds anything.
        return not leader.core.configuration.is_joint and all(
            it.core.applied_index == expected and not _busy(it) for it in self._members_of(leader)
        )

    def _judge_end(self) -> None:
        self._check()
        leader = self.machines.leader()
        assert leader is not None, "it was there a moment ago"
        dumps = [dump(it.view) for it in self._members_of(leader)]
        if any(it != dumps[0] for it in dumps):
            raise Violation("two members hold different stores")
        self.judge(leader)
        self.chronicle.result.committed = self._judge.highest
        self.chronicle.digest.update(dumps[0])


def _first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first


def _busy(member: Member) -> bool:
    """Whether anything waits in one of a member's bounded places."""
    return any(member.status().waiting.values())


async def _end_tasks() -> None:
    """Cancel whatever still runs, in an order of its own, and wait for the end."""
    tasks = sorted(asyncio.all_tasks() - {asyncio.current_task()}, key=lambda it: it.get_name())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
