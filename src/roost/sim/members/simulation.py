"""One simulated run: a cluster, clients, faults, and what must hold (DESIGN.md D10).

The seed draws everything: how many members, which kinds of fault and how often, delays, what
clients do.  A run has two phases.  In the first anything may fail.  Then every member runs, every
direction is open, and within HEAL_S the cluster must have one leader, serve, and hold the same
everywhere.

What is checked after every delivery stands in `judge`.  Checked at the end: every acknowledged
put is there, the history of each key is linearizable, watchers saw what happened, all stores are
equal, and every queue is empty.

A run is drawn in `nemesis.Swarm`; what clients do is in `clients`.
"""

import asyncio
import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from roost import etcd
from roost.call import Route
from roost.errors import RoostError
from roost.member import (
    Member,
    MemberConfig,
    StoreDamaged,
    join_cluster,
    mark_damaged,
    rebuild_store,
)
from roost.peer import Secrets
from roost.proto import kv_pb2
from roost.raft import Role
from roost.raft.quorum import has_quorum
from roost.sim.linearizability import Verdict, check_register
from roost.sim.members.clients import Clients
from roost.sim.members.disk import PowerCut
from roost.sim.members.judge import Judge, Violation, dump
from roost.sim.members.leases import LeaseHolders
from roost.sim.members.loop import VirtualLoop
from roost.sim.members.nemesis import Nemesis, Swarm
from roost.sim.members.network import SimNetwork, SimTransport
from roost.sim.members.world import SimWorld

HEAL_S = 30.0
HEARTBEAT_MS, ELECTION_TICKS = 50, 10
WATCHERS = 2
SECRET = b"what the simulated members share"
# How far the rate of a machine's clock may be off, where clocks drift.
DRIFT_MAX = 0.06


class Stranded(Exception):
    """Nobody left alive has a configuration in which those alive are a majority.

    Removing one of two members can do that, when the survivor crashes before it knows that the
    removal is committed (checklist 135).
    """


@dataclass(slots=True)
class Result:
    """What one run saw."""

    seed: int
    events: int = 0
    virtual_s: float = 0.0
    acknowledged: int = 0
    operations: int = 0
    watched: int = 0
    elections: int = 0
    crashes: int = 0
    damages: int = 0
    mended: int = 0
    changes: int = 0
    snapshots: int = 0
    committed: int = 0
    expired: int = 0
    digest: str = ""
    is_stranded: bool = False
    violation: str = ""


class Machine:
    """One machine: its world, and the member on it when one runs."""

    def __init__(self, world: SimWorld, config: MemberConfig) -> None:
        """Nothing runs."""
        self.world = world
        self.config = config
        self.member: Member | None = None
        self.routes: dict[bytes, Route] = {}
        self.on_end: Callable[[], None] = lambda: None
        self.lives = 0
        self.is_starting = False
        self.is_gone = False
        self.is_damaged = False

    @property
    def has_identity(self) -> bool:
        """Whether a member has lived here."""
        return self.config.data_dir / "identity.a" in self.world.disk.files

    @property
    def life(self) -> int:
        """Grows when the member dies and when it comes back."""
        return 2 * self.lives + (self.member is not None)


class Simulation:
    """One seed's world."""

    def __init__(self, seed: int, root: Path, swarm: Swarm | None = None) -> None:
        """Draw what the run is about, unless told; `root` is an empty directory for LMDB."""
        self.seed = seed
        self.root = root
        self.swarm = swarm or Swarm.draw(self.stream("swarm"))
        self.network = SimNetwork(self.stream("network"), delay_s_mean=self.swarm.delay_s_mean)
        self.network.after_delivery = self._look_after_delivery
        self.judge = Judge()
        self.result = Result(seed)
        self.machines: list[Machine] = []
        self.clients = Clients(self._running, self.stream)
        self.trace: list[str] = []
        self._terms_won: set[tuple[int, int]] = set()
        self._failure: BaseException | None = None
        self._digest = hashlib.blake2b(digest_size=16)

    def stream(self, name: str) -> random.Random:
        """A source of chance of its own, so that one more draw here shifts nothing there."""
        return random.Random(f"{self.seed}/{name}")  # noqa: S311 - a simulation is no secret

    def run(self) -> Result:
        """Run to the end; a broken promise stands in the result."""
        loop = VirtualLoop()
        asyncio.set_event_loop(loop)
        loop.set_exception_handler(self._on_loop_error)
        try:
            loop.run_until_complete(self._run())
        except BaseExceptionGroup as group:
            first = _first_of(group)
            if isinstance(first, Stranded):
                self.result.is_stranded = True
            elif isinstance(first, Violation):
                self.result.violation = str(first)
            else:
                raise first from group
        except Violation as violation:
            self.result.violation = str(violation)
        finally:
            self.result.virtual_s = loop.time()
            self.result.events = self.network.delivered
            self._digest.update(self.network.digest.digest())
            self.result.digest = self._digest.hexdigest()
            loop.run_until_complete(_end_tasks())
            loop.close()
            asyncio.set_event_loop(None)
        return self.result

    def _on_loop_error(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        if isinstance(error, PowerCut):
            self._on_power_cut(error)
            return
        if self._failure is None and isinstance(error, BaseException):
            self._failure = error

    def _on_power_cut(self, cut: PowerCut) -> None:
        for machine in self.machines:
            if machine.world.disk is cut.disk:
                self.say(f"{machine.config.name} is cut off in the middle of a write")
                self.crash(machine, loses_power=self.swarm.power_cuts)

    def say(self, text: str) -> None:
        """Add a line to the trace; the digest of all lines tells runs apart."""
        line = f"{asyncio.get_running_loop().time():10.4f}  {text}"
        self.trace.append(line)
        self._digest.update(line.encode())

    # --- members --------------------------------------------------------------------------------

    def _config(self, number: int, *, size: int, heartbeat_ms: int) -> MemberConfig:
        urls = {f"m{it}": (f"http://10.0.0.{it + 1}:2380",) for it in range(size)}
        swarm = self.swarm
        return MemberConfig(
            name=f"m{number}",
            data_dir=self.root / f"m{number}",
            initial_cluster=urls,
            advertise_peer_urls=urls[f"m{number}"],
            listen_peer_urls=urls[f"m{number}"],
            advertise_client_urls=(f"http://10.0.0.{number + 1}:2379",),
            heartbeat_ms=heartbeat_ms,
            election_ms=ELECTION_TICKS * heartbeat_ms,
            trailing_entries=swarm.trailing_entries,
            request_timeout_ms=2000,
            store_layer_bytes_max=swarm.layer_bytes,
            lease_reads=swarm.lease_reads,
            inline_sync_ms_max=0.0 if swarm.slow_disks else 5.0,
        )

    def add_machine(self) -> Machine:
        """One more machine, on which nothing runs."""
        number = len(self.machines)
        stream = self.stream(f"machine {number}")
        rate = 1.0 + (stream.uniform(-DRIFT_MAX, DRIFT_MAX) if self.swarm.drift else 0.0)
        size = max(number + 1, self.swarm.size)
        config = self._config(number, size=size, heartbeat_ms=round(HEARTBEAT_MS / rate))
        world = SimWorld(
            self.network,
            (f"10.0.0.{number + 1}", 2380),
            stream,
            segment_bytes=self.swarm.segment_bytes,
            clock_rate=rate,
            peer_secrets=Secrets([SECRET] if self.swarm.has_secret else []),
        )
        machine = Machine(world, config)
        self.machines.append(machine)
        return machine

    def _running(self) -> list[Machine]:
        return [it for it in self.machines if it.member is not None]

    async def start(self, machine: Machine, *, joins: bool = False) -> None:
        """Start the member of a machine; one that `joins` is filled by the cluster first."""
        machine.is_starting = True
        name = machine.config.name
        try:
            config = machine.config
            config.data_dir.mkdir(exist_ok=True)
            if joins and not machine.has_identity:
                await join_cluster(config, machine.world)
            member = await self._open(machine)
            grace_s = machine.config.election_ms / 1000
            services = etcd.Services(
                member,
                member.store,
                limits=etcd.Limits(lease_ttl_min_s=1, lease_grace_s=grace_s),
                clock_s=machine.world.clock_s,
            )
            machine.routes = services.routes()
            member.on_removed = lambda: self._on_removed(machine)
            member.observe_switch(self._count_snapshot)
            await member.start()
            machine.member = member
            if self.swarm.lease_holders:
                services.start()
                machine.on_end = services.stop
            machine.lives += 1
            self.say(f"{name} starts at {member.store.applied_index}")
        except PowerCut:
            self.say(f"{name} is cut off while it starts")
            machine.world.crash(loses_power=self.swarm.power_cuts)
        except RoostError as error:
            self.say(f"{name} does not start: {error}")
            if joins or "removed" in str(error):
                machine.is_gone = "removed" in str(error)
            else:
                raise Violation(f"{name} does not start again: {error}") from error
        finally:
            machine.is_starting = False

    async def _open(self, machine: Machine) -> Member:
        """Open the member of a machine; a store that is damaged is fetched first."""
        while True:
            try:
                return Member(
                    machine.config,
                    bootstrap=etcd.bootstrap,
                    on_fatal=lambda error: self._on_fatal(machine, error),
                    world=machine.world,
                )
            except StoreDamaged as damage:
                self.say(f"{machine.config.name} fetches a store: {damage}")
                mark_damaged(machine.config, str(damage), machine.world)
                await rebuild_store(machine.config, machine.world)

    def _count_snapshot(self) -> Callable[[], None]:
        self.result.snapshots += 1
        return lambda: None

    def _on_fatal(self, machine: Machine, error: BaseException) -> None:
        if isinstance(error, StoreDamaged):
            self.say(f"{machine.config.name} stops: {error}")
            mark_damaged(machine.config, str(error), machine.world)
            self.crash(machine, loses_power=False)
            return
        raise Violation(f"a member ended itself: {error!r}") from error

    def _on_removed(self, machine: Machine) -> None:
        if not machine.is_gone:
            self.say(f"{machine.config.name} is told that it was removed")
            machine.is_gone = True
            self.crash(machine, loses_power=False)

    def crash(self, machine: Machine, *, loses_power: bool) -> None:
        """The member dies; with the power goes what was not synced."""
        member, machine.member = machine.member, None
        if member is None:
            return
        self.result.crashes += 1
        self.say(f"{machine.config.name} {'loses power' if loses_power else 'is killed'}")
        machine.on_end()
        member.abandon()
        machine.world.crash(loses_power=loses_power)

    # --- the run --------------------------------------------------------------------------------

    async def _run(self) -> None:
        swarm = self.swarm
        self.say(f"seed {self.seed}: {swarm}")
        for _ in range(swarm.size):
            self.add_machine()
        for machine in self.machines:
            await self.start(machine)
        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(self._watch())
            clients = [group.create_task(self.clients.work(it)) for it in range(swarm.clients)]
            clients += [group.create_task(self.clients.watch(it)) for it in range(WATCHERS)]
            holders = LeaseHolders(self.clients, self._running, self.stream)
            holding = [group.create_task(holders.work(it)) for it in range(swarm.lease_holders)]
            await Nemesis(self, self.stream("nemesis")).rage()
            await self._heal()
            self.clients.is_stopping = True
            for client in clients:
                await client
            while not all(it.done() for it in holding):
                # Who was cut off in its last write comes back: leases need a leader to end.
                await self._start_all()
                await asyncio.sleep(0.1)
            await self._settle()
            for machine in self.machines:
                machine.on_end()
            self.result.expired = holders.expired_count
            watcher.cancel()
        self._judge_end()

    async def _watch(self) -> None:
        """Look at every member now and then, whatever happens or does not."""
        while True:
            self._check()
            await asyncio.sleep(0.01)

    def _look_after_delivery(self, transport: SimTransport) -> None:
        """A message has arrived: look at whoever got it."""
        for number, machine in enumerate(self.machines):
            if machine.member is not None and machine.member.transport is transport:
                self._look(number, machine.lives, machine.member)

    def _check(self) -> None:
        if isinstance(self._failure, Violation):
            raise self._failure
        if self._failure is not None:
            raise Violation(f"an error nobody took: {self._failure!r}") from self._failure
        for number, machine in enumerate(self.machines):
            if machine.member is not None:
                self._look(number, machine.lives, machine.member)

    def _look(self, number: int, life: int, member: Member) -> None:
        core = member.core
        if core.role is Role.LEADER and (core.term, core.id) not in self._terms_won:
            self._terms_won.add((core.term, core.id))
            self.result.elections += 1
            self.say(f"m{number} leads term {core.term} from {core.last_index}")
            self.judge.on_leader(member)
        machine = self.machines[number]
        if machine.is_damaged and not member.journal.faulty and not member.core.is_fenced:
            machine.is_damaged = False
            self.result.mended += 1
            self.say(f"m{number} is whole again")
        self.judge.look(number, life, member)

    # --- the end --------------------------------------------------------------------------------

    async def _heal(self) -> None:
        """Everything runs and talks; within HEAL_S somebody must lead and serve."""
        self.say("everything heals")
        self.network.cut.clear()
        self.network.clogged.clear()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + HEAL_S
        while not self._is_serving():
            if loop.time() > deadline:
                if self._is_stranded():
                    raise Stranded
                raise Violation(f"nobody leads {HEAL_S} s after everything healed")
            await self._start_all()
            await asyncio.sleep(0.1)

    async def _start_all(self) -> None:
        for number, machine in enumerate(self.machines):
            is_stopped = machine.member is None and not machine.is_gone
            is_first = number < self.swarm.size
            is_expected = is_first or machine.has_identity or self._was_added(machine)
            if is_stopped and not machine.is_starting and is_expected:
                await self.start(machine, joins=not is_first)

    def _was_added(self, machine: Machine) -> bool:
        urls = machine.config.advertise_peer_urls
        return any(
            urls == record.peer_urls
            for other in self.machines
            if other.member is not None
            for record in other.member.members()
        )

    def _is_stranded(self) -> bool:
        running = [it.member for it in self.machines if it.member is not None]
        alive = {it.member_id for it in running}
        return not any(
            has_quorum(it.core.configuration, lambda node: node in alive) for it in running
        )

    def _leader(self) -> Member | None:
        leading = [
            it.member for it in self.machines if it.member and it.member.core.is_leader_ready
        ]
        return max(leading, key=lambda it: it.core.term, default=None)

    def _is_serving(self) -> bool:
        leader = self._leader()
        if leader is None or leader.core.transfer_target:
            return False
        members = set(leader.core.configuration.all_nodes())
        known = {
            it.member.leader_id
            for it in self.machines
            if it.member and it.member.member_id in members
        }
        return known == {leader.member_id}

    async def _settle(self) -> None:
        """Wait until every member of the configuration holds the same."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + HEAL_S
        while True:
            await self._start_all()
            leader = self._leader()
            if leader is not None and self._is_even(leader):
                return
            if loop.time() > deadline:
                raise Violation(f"members are not even and idle {HEAL_S} s after the last write")
            await asyncio.sleep(0.1)

    def _members_of(self, leader: Member) -> list[Member]:
        nodes = leader.core.configuration.all_nodes()
        return [it.member for it in self.machines if it.member and it.member.member_id in nodes]

    def _is_even(self, leader: Member) -> bool:
        expected = leader.core.last_index
        # Somebody added and never started has no machine that holds anything.
        return not leader.core.configuration.is_joint and all(
            it.core.applied_index == expected and not _busy(it) for it in self._members_of(leader)
        )

    def _judge_end(self) -> None:
        self._check()
        leader = self._leader()
        assert leader is not None, "it was there a moment ago"
        members = self._members_of(leader)
        dumps = [dump(it.view) for it in members]
        if any(it != dumps[0] for it in dumps):
            raise Violation("two members hold different stores")
        self._check_acknowledged(leader)
        clients = self.clients
        verdict = check_register(clients.history)
        if verdict is not Verdict.LINEARIZABLE:
            raise Violation(f"the history is {verdict.value}")
        happened = history_of(leader)
        for log in clients.watches:
            log.check(happened)
            self.result.watched += len(log.events)
        self.result.operations = len(clients.history)
        self.result.acknowledged = clients.acknowledged_count
        self.result.committed = self.judge.highest
        self._digest.update(dumps[0])

    def _check_acknowledged(self, leader: Member) -> None:
        tree = leader.store.tree("kv").id
        for key, value in self.clients.acknowledged.items():
            held = leader.view.get(tree, key)
            if held is None or value not in held:
                raise Violation(f"the acknowledged put of {key!r} is lost")


def history_of(member: Member) -> list[tuple[int, bytes, bytes]]:
    """Every put, (revision, key, value), in the order of revisions."""
    tree = member.store.tree("revisions").id
    rows = [kv_pb2.KeyValue.FromString(value) for _, value in member.view.iterate(tree)]
    return [(it.mod_revision, it.key, it.value) for it in rows]


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
