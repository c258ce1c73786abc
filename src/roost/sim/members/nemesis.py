"""What goes wrong in a simulated cluster: which faults a seed has, and when they happen."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from roost.errors import RoostError
from roost.member.cluster import membership
from roost.raft import Role
from roost.sim.members.network import Address
from roost.sim.members.rot import damage_journal

if TYPE_CHECKING:
    from roost.sim.members.simulation import Machine, Simulation

MACHINES_MAX = 9
DAMAGE_SIZE_MIN = 3
# How often members share a secret.
SECRET_ODDS = 0.3


@dataclass(frozen=True, slots=True)
class Swarm:
    """What one seed is about; times in virtual seconds, odds for each step of the nemesis."""

    size: int
    clients: int
    safety_s: float
    delay_s_mean: float
    kills: bool
    power_cuts: bool
    partitions: bool
    one_way_cuts: bool
    changes: bool
    transfers: bool
    trailing_entries: int
    segment_bytes: int
    layer_bytes: int
    nemesis_s_mean: float
    slow_disks: bool = False
    clogs: bool = False
    drift: bool = False
    lease_reads: bool = False
    damage: bool = False
    # Whether members share one.
    has_secret: bool = False
    # Holders of leases; they are not drawn, so that seeds stay what they were.
    lease_holders: int = 0

    @classmethod
    def draw(cls, dice: random.Random) -> "Swarm":
        """Some faults, of some strength."""
        swarm = cls(
            size=dice.choice((1, 2, 3, 3, 3, 4, 5, 5)),
            clients=dice.randint(2, 6),
            safety_s=dice.choice((8.0, 12.0, 20.0)),
            delay_s_mean=dice.choice((0.0005, 0.002, 0.01, 0.03)),
            kills=dice.random() < 0.7,
            power_cuts=dice.random() < 0.5,
            partitions=dice.random() < 0.6,
            one_way_cuts=dice.random() < 0.4,
            changes=dice.random() < 0.5,
            transfers=dice.random() < 0.4,
            trailing_entries=dice.choice((1, 10, 100)),
            segment_bytes=dice.choice((32 << 10, 64 << 10)),
            layer_bytes=dice.choice((4 << 10, 32 << 10, 1 << 20)),
            nemesis_s_mean=dice.choice((0.1, 0.3, 1.0, 3.0)),
            slow_disks=dice.random() < 0.3,
            clogs=dice.random() < 0.4,
            drift=dice.random() < 0.4,
            lease_reads=dice.random() < 0.3,
        )
        # Two others must remain whole; who is in the cluster is somebody else's worry here.
        if dice.random() < 0.4 and swarm.size >= DAMAGE_SIZE_MIN and not swarm.changes:
            swarm = replace(swarm, damage=True, kills=True)
        return replace(swarm, has_secret=dice.random() < SECRET_ODDS)


class Nemesis:
    """Breaks things in one run, by its own dice."""

    def __init__(self, simulation: "Simulation", dice: random.Random) -> None:
        """Nothing is broken."""
        self._simulation = simulation
        self._dice = dice
        self._swarm = simulation.swarm

    async def rage(self) -> None:
        """Break things for as long as the swarm says."""
        loop, dice, swarm = asyncio.get_running_loop(), self._dice, self._swarm
        # What happens more often stands more often.
        acts: list[Callable[[], None]] = [self._cut_some, self._heal, self._clog_some]
        acts += [self._crash_some] * 2 if swarm.kills or swarm.power_cuts else []
        acts += [self._change_some] * 2 if swarm.changes else []
        acts += [self._move_leader] if swarm.transfers else []
        until = loop.time() + swarm.safety_s
        while loop.time() < until:
            await asyncio.sleep(dice.expovariate(1 / swarm.nemesis_s_mean))
            if dice.random() < 0.3:
                await self._start_some()
            else:
                dice.choice(acts)()

    def _crash_some(self) -> None:
        dice, swarm, simulation = self._dice, self._swarm, self._simulation
        running = [it for it in simulation.machines if it.member is not None]
        if not running:
            return
        victims = running if dice.random() < 0.15 else [dice.choice(running)]
        loses_power = swarm.power_cuts and (not swarm.kills or dice.random() < 0.5)
        for machine in victims:
            if dice.random() < 0.5:
                machine.world.disk.cut_at(dice.randint(1, 12))
            else:
                simulation.crash(machine, loses_power=loses_power)
        if swarm.damage and dice.random() < 0.5:
            self._damage_some(victims)

    def _damage_some(self, victims: "list[Machine]") -> None:
        """The disk of a machine that is down rots; one machine at a time (P4)."""
        simulation = self._simulation
        down = [it for it in victims if it.member is None and not it.is_starting]
        if down and not any(it.is_damaged for it in simulation.machines):
            machine = self._dice.choice(down)
            said = damage_journal(machine.world.disk, self._dice)
            if said:
                machine.is_damaged = True
                simulation.result.damages += 1
                simulation.say(f"the disk of {machine.config.name} rots: {said}")

    async def _start_some(self) -> None:
        simulation = self._simulation
        stopped = [
            it
            for it in simulation.machines
            if it.member is None and not it.is_starting and not it.is_gone
        ]
        if stopped:
            machine = self._dice.choice(stopped)
            is_first = simulation.machines.index(machine) < self._swarm.size
            await simulation.start(machine, joins=not is_first)

    def _pairs(self) -> list[tuple[Address, Address]]:
        addresses = [it.world.address for it in self._simulation.machines]
        return [(a, b) for a in addresses for b in addresses if a != b]

    def _cut_some(self) -> None:
        dice, swarm, network = self._dice, self._swarm, self._simulation.network
        pairs = self._pairs()
        if not pairs:
            return
        addresses = sorted({a for a, _ in pairs})
        if swarm.partitions and dice.random() < 0.6:
            side = set(dice.sample(addresses, dice.randint(1, len(addresses) - 1)))
            network.cut |= {(a, b) for a, b in pairs if (a in side) != (b in side)}
            self._simulation.say(f"cut off {sorted(it[0] for it in side)}")
        elif swarm.one_way_cuts:
            chosen = dice.choice(pairs)
            network.cut.add(chosen)
            self._simulation.say(f"nothing gets from {chosen[0][0]} to {chosen[1][0]}")

    def _heal(self) -> None:
        network = self._simulation.network
        if network.cut:
            self._simulation.say("all directions are open")
            network.cut.clear()

    def _clog_some(self) -> None:
        """What is sent to one machine, or by it, takes long for a while, and comes in order."""
        dice, network = self._dice, self._simulation.network
        pairs = self._pairs()
        if not self._swarm.clogs or not pairs:
            return
        victim, _ = dice.choice(pairs)
        until = asyncio.get_running_loop().time() + dice.choice((0.2, 0.7, 2.0))
        for a, b in pairs:
            if victim in (a, b):
                network.clogged[a, b] = until
        self._simulation.say(f"{victim[0]} is clogged until {until:.3f}")

    def _change_some(self) -> None:
        """Somebody asks any member to change who is in the cluster."""
        dice, simulation = self._dice, self._simulation
        running = [it for it in simulation.machines if it.member is not None]
        if not running:
            return
        asked = dice.choice(running)
        member = asked.member
        assert member is not None, "it runs"
        records = member.members()
        learners = [it for it in records if it.is_learner]
        may_grow = len(simulation.machines) < MACHINES_MAX
        name: str
        body: bytes
        roll = dice.random()
        if learners and roll < 0.5:
            name, body = membership.PROMOTE, b'{"id":%d}' % learners[0].id
        elif roll < 0.70 and may_grow:
            is_learner = b"true" if dice.random() < 0.5 else b"false"
            body = b'{"peer_urls":["%s"],"is_learner":%s}' % (self._new_url(), is_learner)
            name = membership.ADD
        elif roll < 0.85 and may_grow:
            name = membership.REPLACE
            gone = dice.choice(records).id
            body = b'{"id":%d,"peer_urls":["%s"]}' % (gone, self._new_url())
        else:
            name, body = membership.REMOVE, b'{"id":%d}' % dice.choice(records).id
        simulation.say(f"{asked.config.name} is asked: {name} {body.decode()}")

        def done(_result: bytes | None, error: RoostError | None) -> None:
            simulation.say(f"{name}: {error or 'done'}")
            simulation.result.changes += error is None

        member.transact_nowait(name, body, done)

    def _new_url(self) -> bytes:
        """The peer URL of one more machine."""
        machine = self._simulation.add_machine()
        return machine.config.advertise_peer_urls[0].encode()

    def _move_leader(self) -> None:
        simulation = self._simulation
        leading = [
            it.member
            for it in simulation.machines
            if it.member and it.member.core.role is Role.LEADER
        ]
        if not leading:
            return
        target = self._dice.choice(leading[0].members()).id
        try:
            leading[0].transfer_leadership(target, lambda _error: None)
        except RoostError:
            return
        simulation.say(f"leadership is to go to {target:x}")
