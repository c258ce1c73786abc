"""What goes wrong in a simulated cluster, and when."""

import asyncio
from collections.abc import Callable

from roost.errors import RoostError
from roost.member.cluster import membership
from roost.member.protocol import FRAME_RAFT, ROOM_KIND_MAX
from roost.outcome import Outcome
from roost.peer import encode_frame
from roost.peer.frame import HELLO
from roost.raft import Role
from roost.sim.members.chronicle import Chronicle
from roost.sim.members.intruders import Intruders
from roost.sim.members.machines import Machine, Machines
from roost.sim.members.network import Address, SimNetwork
from roost.sim.members.rot import damage_journal
from roost.sim.members.swarm import Swarm

MACHINES_MAX = 9
# Nobody takes these, but for what consensus says, of which random bytes are nothing.
_NONSENSE_KINDS = (0, FRAME_RAFT, 63, ROOM_KIND_MAX, HELLO)


class Nemesis:
    """Breaks things in one run, by its own dice."""

    def __init__(
        self, machines: Machines, network: SimNetwork, chronicle: Chronicle, swarm: Swarm
    ) -> None:
        """Nothing is broken."""
        self._machines = machines
        self._network = network
        self._chronicle = chronicle
        self._swarm = swarm
        self._dice = chronicle.stream("nemesis")
        self._intruders = Intruders(machines, network, chronicle)

    async def rage(self) -> None:
        """Break things for as long as the swarm says."""
        loop, dice, swarm = asyncio.get_running_loop(), self._dice, self._swarm
        # What happens more often stands more often.
        acts: list[Callable[[], None]] = [self._cut_some, self._heal, self._clog_some]
        acts += [self._crash_some] * 2 if swarm.kills or swarm.power_cuts else []
        acts += [self._change_some] * 2 if swarm.changes else []
        acts += [self._move_leader] if swarm.transfers else []
        acts += [self._intruders.intrude] * 3 if swarm.strangers else []
        acts += [self._intruders.double] if swarm.copies else []
        acts += [self._deafen_some] if swarm.deafness else []
        acts += [self._garble_some, self._talk_nonsense] if swarm.garbage else []
        until = loop.time() + swarm.safety_s
        while loop.time() < until:
            await asyncio.sleep(dice.expovariate(1 / swarm.nemesis_s_mean))
            if dice.random() < 0.3:
                await self._start_some()
            else:
                dice.choice(acts)()
        await self._intruders.leave()

    def _crash_some(self) -> None:
        dice, swarm = self._dice, self._swarm
        running = self._machines.running()
        if not running:
            return
        victims = running if dice.random() < 0.15 else [dice.choice(running)]
        loses_power = swarm.power_cuts and (not swarm.kills or dice.random() < 0.5)
        for machine in victims:
            if dice.random() < 0.5:
                machine.world.disk.cut_at(dice.randint(1, 12))
            else:
                self._machines.crash(machine, loses_power=loses_power)
        if swarm.damage and dice.random() < 0.5:
            self._damage_some(victims)

    def _damage_some(self, victims: list[Machine]) -> None:
        """The disk of a machine that is down rots; one machine at a time (P4)."""
        down = [it for it in victims if it.member is None and not it.is_starting]
        if down and not any(it.is_damaged for it in self._machines):
            machine = self._dice.choice(down)
            said = damage_journal(machine.world.disk, self._dice)
            if said:
                machine.is_damaged = True
                self._chronicle.result.damages += 1
                self._chronicle.say(f"the disk of {machine.config.name} rots: {said}")

    async def _start_some(self) -> None:
        stopped = [it for it in self._machines if it.may_start]
        if stopped:
            await self._machines.start(self._dice.choice(stopped))

    def _pairs(self) -> list[tuple[Address, Address]]:
        addresses = [it.world.address for it in self._machines]
        return [(a, b) for a in addresses for b in addresses if a != b]

    def _cut_some(self) -> None:
        dice, swarm, network = self._dice, self._swarm, self._network
        pairs = self._pairs()
        if not pairs:
            return
        addresses = sorted({a for a, _ in pairs})
        if swarm.partitions and dice.random() < 0.6:
            side = set(dice.sample(addresses, dice.randint(1, len(addresses) - 1)))
            network.cut |= {(a, b) for a, b in pairs if (a in side) != (b in side)}
            self._chronicle.say(f"cut off {sorted(it[0] for it in side)}")
        elif swarm.one_way_cuts:
            chosen = dice.choice(pairs)
            network.cut.add(chosen)
            self._chronicle.say(f"nothing gets from {chosen[0][0]} to {chosen[1][0]}")

    def _heal(self) -> None:
        network = self._network
        if network.cut:
            self._chronicle.say("all directions are open")
            network.cut.clear()

    def _clog_some(self) -> None:
        """What is sent to one machine, or by it, takes long for a while, and comes in order."""
        dice, network = self._dice, self._network
        pairs = self._pairs()
        if not self._swarm.clogs or not pairs:
            return
        victim, _ = dice.choice(pairs)
        until = asyncio.get_running_loop().time() + dice.choice((0.2, 0.7, 2.0))
        for a, b in pairs:
            if victim in (a, b):
                network.clogged[a, b] = until
        self._chronicle.say(f"{victim[0]} is clogged until {until:.3f}")

    def _deafen_some(self) -> None:
        """A machine takes nothing that comes for a while, and those who send to it must wait."""
        machine = self._dice.choice(list(self._machines))
        until_s = asyncio.get_running_loop().time() + self._dice.choice((0.2, 1.0, 3.0))
        machine.world.network.deafen(until_s)
        self._chronicle.say(f"{machine.config.name} reads nothing until {until_s:.3f}")

    def _garble_some(self) -> None:
        """A bit changes in what one machine sends to another."""
        pairs = self._pairs()
        if pairs:
            self._network.garbled.add(self._dice.choice(pairs))

    def _talk_nonsense(self) -> None:
        """A member that was greeted says something that is none of the things members say."""
        dice = self._dice
        running = [it.member for it in self._machines if it.member is not None]
        if not running:
            return
        transport = dice.choice(running).transport
        kind = dice.choice(_NONSENSE_KINDS)
        encoded = encode_frame(kind, [dice.randbytes(dice.randint(0, 200))])
        for peer in transport.peers():
            transport.send(peer, encoded, bulk=dice.random() < 0.5)

    def _change_some(self) -> None:
        """Somebody asks any member to change who is in the cluster."""
        dice, chronicle = self._dice, self._chronicle
        running = self._machines.running()
        if not running:
            return
        asked = dice.choice(running)
        member = asked.member
        assert member is not None, "it runs"
        records = member.members()
        learners = [it for it in records if it.is_learner]
        may_grow = len(self._machines) < MACHINES_MAX
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
        chronicle.say(f"{asked.config.name} is asked: {name} {body.decode()}")

        def done(outcome: Outcome) -> None:
            chronicle.say(f"{name}: {outcome if isinstance(outcome, RoostError) else 'done'}")
            chronicle.result.changes += not isinstance(outcome, RoostError)

        member.transact_nowait(name, body, done)

    def _new_url(self) -> bytes:
        """The peer URL of one more machine."""
        machine = self._machines.add()
        return machine.config.advertise_peer_urls[0].encode()

    def _move_leader(self) -> None:
        running = [it.member for it in self._machines if it.member is not None]
        leading = [it for it in running if it.core.role is Role.LEADER]
        if not leading:
            return
        target = self._dice.choice(leading[0].members()).id
        try:
            leading[0].transfer_leadership(target, lambda _error: None)
        except RoostError:
            return
        self._chronicle.say(f"leadership is to go to {target:x}")
