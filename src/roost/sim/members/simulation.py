"""One simulated run with etcd's services and clients of theirs; `run` has what every run is.

Checked at the end: every acknowledged put is there, the history of each key is linearizable,
watchers saw what happened, all stores are equal, and every queue is empty.
"""

import asyncio
from pathlib import Path

from roost import etcd
from roost.member import Member
from roost.member.opening import open_member
from roost.proto import kv_pb2
from roost.sim.linearizability import Verdict, check_register
from roost.sim.members.clients import Clients, Put
from roost.sim.members.counters import CounterClients
from roost.sim.members.heavy import Heavy
from roost.sim.members.judge import Violation
from roost.sim.members.leases import LeaseHolders
from roost.sim.members.listers import Listers
from roost.sim.members.machines import Life, Machine
from roost.sim.members.rooms import CounterMembers
from roost.sim.members.run import HEAL_S, Run, Stranded
from roost.sim.members.swarm import Swarm
from roost.sim.members.tree import FIGHTERS, TreeClients
from roost.sim.members.turns import Turns
from roost.tasks import Tasks

__all__ = ["HEAL_S", "EtcdServices", "Simulation", "Stranded", "history_of"]

WATCHERS = 2


class EtcdServices:
    """Members with etcd's services; see `machines.Resident`."""

    def __init__(self, *, runs: bool) -> None:
        """`runs` says whether what services do by themselves is done: leases end, for one."""
        self.runs = runs
        # None: nobody counts.
        self.counters: CounterMembers | None = None
        # Whether anybody asks v2; what it still answers then ends with its member.
        self.has_v2 = False
        self._ending = Tasks()

    async def open(self, machine: Machine, life: Life) -> Member:
        """Open, build the services, and start."""
        config = machine.config
        member = await open_member(
            config,
            bootstrap=etcd.bootstrap,
            on_fatal=life.on_fatal,
            world=machine.world,
            joins=not machine.is_first,
        )
        services = etcd.Services(
            member,
            member.store,
            limits=etcd.Limits(lease_ttl_min_s=1, lease_grace_s=config.election_ms / 1000),
            clock_s=machine.world.clock_s,
            wall_s=machine.world.wall_s,
        )
        machine.routes = services.routes()
        machine.ask = services.v2.begin
        counters = self.counters
        counting = None if counters is None else counters.attach(machine, member)
        life.prepare(member)
        await member.start()
        if self.runs:
            services.start()

        def on_end() -> None:
            if self.runs:
                services.stop()
            if self.has_v2:
                self._ending.start(services.v2.close())
            if counters is not None:
                counters.end(machine)

        machine.on_end = on_end
        if counting is not None:
            counting.start()
        return member


class Simulation(Run):
    """One seed's world, with etcd's clients."""

    def __init__(
        self, seed: int, root: Path, swarm: Swarm | None = None, turns: Turns | None = None
    ) -> None:
        """Draw what the run is about, unless told; `root` is an empty directory for LMDB."""
        self._services = EtcdServices(runs=False)
        super().__init__(seed, root, self._services, swarm, turns)
        self._services.runs = bool(self.swarm.lease_holders or self.swarm.heavy or self.swarm.v2)
        self._services.has_v2 = bool(self.swarm.v2)
        self.clients = Clients(self.machines.running, self.chronicle.stream)
        self._listers = Listers(self.clients)
        self._tree = TreeClients(self.clients)
        self._holders = LeaseHolders(self.clients)
        self._counters: CounterClients | None = None
        if self.swarm.counters:
            members = self._services.counters = CounterMembers()
            self._counters = CounterClients(
                members,
                self.clients,
                self.machines,
                self.network,
                self.chronicle,
                safety_s=self.swarm.safety_s,
            )
        self._working: list[asyncio.Task[None]] = []
        self._holding: list[asyncio.Task[None]] = []
        self._asking: list[asyncio.Task[None]] = []

    def begin(self, group: asyncio.TaskGroup) -> None:
        """See `Run.begin`."""
        clients, swarm = self.clients, self.swarm
        self._asking = [group.create_task(clients.work(it)) for it in range(swarm.clients)]
        if swarm.heavy:  # many puts share a revision, so who watches has other things to check
            heavy = Heavy(clients)
            self._working = [group.create_task(heavy.work(swarm.heavy, swarm.heavy_keys))]
        else:
            self._asking += [group.create_task(clients.watch(it)) for it in range(WATCHERS)]
        self._asking += [group.create_task(self._listers.work(it)) for it in range(swarm.listers)]
        if self._counters is not None:
            counters = self._counters
            self._asking += [
                *(group.create_task(counters.work(it)) for it in range(swarm.counters)),
                group.create_task(counters.befall()),
            ]
        if swarm.v2:
            tree = self._tree
            self._asking += [
                *(group.create_task(tree.work(it)) for it in range(swarm.v2)),
                *(group.create_task(tree.watch(it)) for it in range(WATCHERS)),
                *(group.create_task(tree.fight(it)) for it in range(FIGHTERS)),
            ]
        holders = self._holders
        self._holding = [group.create_task(holders.work(it)) for it in range(swarm.lease_holders)]

    async def finish(self) -> None:
        """See `Run.finish`."""
        await self._until_done(self._working)
        self.clients.is_stopping = True
        for client in self._asking:
            await client
        # Who was cut off in its last write comes back: leases need a leader to end.
        await self._until_done(self._holding)
        self.chronicle.result.expired = self._holders.expired_count
        if self._counters is not None:
            await self._counters.finish()

    async def _until_done(self, tasks: list[asyncio.Task[None]]) -> None:
        while not all(it.done() for it in tasks):
            await self.machines.start_all()
            await asyncio.sleep(0.1)

    def judge(self, leader: Member) -> None:
        """See `Run.judge`."""
        self._check_acknowledged(leader)
        clients, result = self.clients, self.chronicle.result
        result.watched += self._tree.check()
        result.held = self._tree.held_count
        verdict = check_register(clients.history)
        if verdict is not Verdict.LINEARIZABLE:
            raise Violation(f"the history is {verdict.value}")
        happened = history_of(leader)
        for log in clients.watches:
            log.check(happened)
            result.watched += len(log.events)
        for listed in self._listers.lists:
            listed.check(happened)
        result.listed = len(self._listers.lists)
        result.operations = len(clients.history)
        result.acknowledged = clients.acknowledged_count

    def _check_acknowledged(self, leader: Member) -> None:
        tree = leader.store.tree("$etcd.kv").id
        for key, value in self.clients.acknowledged.items():
            held = leader.view.get(tree, key)
            if held is None or value not in held:
                raise Violation(f"the acknowledged put of {key!r} is lost")


def history_of(member: Member) -> list[Put]:
    """Every put, in the order of revisions."""
    tree = member.store.tree("$etcd.revisions").id
    rows = [kv_pb2.KeyValue.FromString(value) for _, value in member.view.iterate(tree)]
    return [Put(it.mod_revision, it.key, it.value) for it in rows]
