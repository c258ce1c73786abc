"""Counters in a simulated cluster: members that count, clients of theirs, and what befalls them.

A request that was not answered is asked again at the same member with the same key, until it is
known what became of it: so the judge (`tallies`) knows every increment.  Besides what the nemesis
does, single members are cut off for long, directories are lost or rolled back, and operators purge
and retire.  In the end everything is healed: all members read the same, each part is what was
counted there; those who are gone are retired, what was deleted is purged, and nothing is changed by
that.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from roost.counters import reading
from roost.counters.environment import MemoryTrees
from roost.counters.errors import NotReady, OwnerForked, OwnerRefused
from roost.counters.facts import NOTHING, Facts
from roost.counters.forms import NOT_COUNTED
from roost.counters.ports import State
from roost.errors import RoostError
from roost.proto import counters_pb2 as pb
from roost.sim.members.chronicle import Chronicle
from roost.sim.members.clients import CallFailed, Clients
from roost.sim.members.judge import Violation
from roost.sim.members.machines import Machine, Machines
from roost.sim.members.network import SimNetwork
from roost.sim.members.rooms import CounterMembers, Room
from roost.sim.members.tallies import Tallies

COUNTERS_A_CLIENT = 3
# How long all may take to have everything when nothing fails any more, and to fold who is gone.
LEVEL_S, FOLDED_S = 30.0, 60.0
_BEFALLS_S_MEAN = 1.5
_INCREMENT, _DELETE = b"/roost.Counters/Increment", b"/roost.Counters/Delete"


@dataclass(slots=True)
class _Asked:
    """A request of which nobody knows what became of it."""

    owner: str
    path: bytes
    body: bytes
    counters: tuple[str, ...]
    tries_count: int = 0


class CounterClients:
    """All who count in one run, and what befalls those whom they ask."""

    def __init__(
        self,
        members: CounterMembers,
        clients: Clients,
        machines: Machines,
        network: SimNetwork,
        chronicle: Chronicle,
        *,
        safety_s: float,
    ) -> None:
        """Ask by the means of `clients`; for `safety_s` anything may befall members."""
        self._safety_s = safety_s
        self._members = members
        self._clients = clients
        self._machines = machines
        self._network = network
        self._chronicle = chronicle
        self._pending: dict[tuple[int, int], _Asked] = {}
        self._count = 0
        self.tallies = Tallies()

    # What clients do.

    async def work(self, number: int) -> None:
        """Count at any member, until it is over."""
        dice = self._clients.stream(f"counter {number}")
        while not self._clients.is_stopping:
            await asyncio.sleep(dice.expovariate(1 / 0.08))
            running = self._machines.running()
            if running:
                machine = dice.choice(running)
                if (number, machine.number) not in self._pending:
                    self._draw(number, machine, dice)
                await self._ask(number, machine)

    def _draw(self, number: int, machine: Machine, dice: random.Random) -> None:
        """Something to ask."""
        owner = self._members.rooms[machine.number].name
        names = [f"c{number}/{it}" for it in range(COUNTERS_A_CLIENT)]
        self._count += 1
        key = b"%d" % self._count
        if dice.random() < 0.04:
            name = dice.choice(names)
            body = pb.DeleteCountersRequest(names=[name], key=key).SerializeToString()
            asked = _Asked(owner, _DELETE, body, (name,))
        else:
            changes = [(it, dice.randint(1, 9)) for it in dice.sample(names, dice.randint(1, 2))]
            body = pb.IncrementRequest(
                changes=[pb.CounterChange(name=name, change=it) for name, it in changes], key=key
            ).SerializeToString()
            asked = _Asked(owner, _INCREMENT, body, tuple(name for name, _ in changes))
            for name, change in changes:
                self.tallies.of(name, owner).increments.append(change)
        self._pending[number, machine.number] = asked

    async def _ask(self, number: int, machine: Machine) -> None:
        """Ask once; what has an answer is not pending any more."""
        place = number, machine.number
        asked = self._pending[place]
        if asked.owner != self._members.rooms[machine.number].name:
            del self._pending[place]  # nobody will ever know
            return
        asked.tries_count += 1
        is_delete = asked.path == _DELETE
        if is_delete:
            self.tallies.note_delete(asked.counters[0], asked.owner, is_done=False)
        try:
            await self._clients.call(machine, asked.path, asked.body)
        except TimeoutError:
            return
        except CallFailed as failure:
            # Of a later try this says nothing of the first.
            if asked.tries_count == 1 and failure.text.startswith(NOT_COUNTED):
                self._take_back(asked)
                del self._pending[place]
            return
        self._chronicle.result.counted += 1
        if is_delete:
            self.tallies.note_delete(asked.counters[0], asked.owner, is_done=True)
        del self._pending[place]

    def _take_back(self, asked: _Asked) -> None:
        if asked.path == _INCREMENT:
            for it in asked.counters:
                self.tallies.of(it, asked.owner).increments.pop()

    # What befalls members.

    async def befall(self) -> None:
        """Let things happen to single members, for as long as anything may."""
        dice = self._clients.stream("counters befall")
        acts: list[Callable[[random.Random], Awaitable[None]]] = [
            *(self._isolate, self._lose, self._purge, self._retire),
            *[self._roll_back] * 3,  # few are down, and have been copied
        ]
        until_s = asyncio.get_running_loop().time() + self._safety_s
        while asyncio.get_running_loop().time() < until_s:
            await asyncio.sleep(dice.expovariate(1 / _BEFALLS_S_MEAN))
            self._copy_some(dice)
            await dice.choice(acts)(dice)

    async def _isolate(self, dice: random.Random) -> None:
        """One member reaches nobody, for a while."""
        victim = dice.choice(list(self._machines)).world.address
        others = [it.world.address for it in self._machines if it.world.address != victim]
        cut = {(victim, it) for it in others} | {(it, victim) for it in others}
        self._chronicle.say(f"{victim[0]} is alone")
        self._network.cut |= cut
        await asyncio.sleep(dice.uniform(0.5, 5.0))
        self._network.cut -= cut

    def _copy_some(self, dice: random.Random) -> None:
        """Somebody copies the files of a directory."""
        rooms = list(self._members.rooms.values())
        if rooms:
            room = dice.choice(rooms)
            room.old = room.trees.copy()

    def _down(self) -> list[Room]:
        rooms = self._members.rooms
        return [rooms[it.number] for it in self._machines if it.may_start and it.number in rooms]

    async def _lose(self, dice: random.Random) -> None:
        """The directory of a member that does not run is lost; it counts under another name."""
        if down := self._down():
            self._renew(dice.choice(down))

    def _renew(self, room: Room) -> None:
        self._chronicle.say(f"what {room.name} has counted is lost")
        self.tallies.gone.add(room.name)
        room.lost_count += 1
        room.name = f"{room.name.partition('+')[0]}+{room.lost_count}"
        room.trees, room.old = MemoryTrees(), None

    async def _roll_back(self, dice: random.Random) -> None:
        """The directory of a member that does not run is an old state of it."""
        if among := [it for it in self._down() if it.old is not None]:
            room = dice.choice(among)
            assert room.old is not None, "it was looked at"
            self._chronicle.say(f"what {room.name} has counted is rolled back")
            self.tallies.doubtful.add(room.name)
            room.trees, room.old = room.old, None

    async def _purge(self, dice: random.Random) -> None:
        await self._administer(dice, "purge")

    async def _retire(self, dice: random.Random) -> None:
        """Somebody says who is away for good: of those whose directory was lost."""
        if gone := sorted(self.tallies.gone):
            await self._administer(dice, "retire", dice.choice(gone))

    async def _administer(self, dice: random.Random, what: str, name: str = "") -> None:
        among = [it.operators for it in self._members.rooms.values() if it.operators is not None]
        if not among:
            return
        try:
            async with asyncio.timeout(8.0):
                await dice.choice(among).administer(what, name=name, who="the nemesis")
        except (RoostError, TimeoutError) as error:
            self._chronicle.say(f"counters: {what} {name}: {type(error).__name__}")
        else:
            self._chronicle.say(f"counters: {what} {name}: done")

    # The end.

    async def finish(self) -> None:
        """Everything is healed: see that all is there, retire who is gone, purge, and see again.

        Raises:
            Violation: something is not as it must be.

        """
        if not any(it.counting and it.counting.known.facts.owners for it in self._rooms_up()):
            return  # nobody has counted
        await self._until(self._is_repaired, LEVEL_S, "who was found out is not given another name")
        await self._until_answered()
        await self._until(self._are_level, LEVEL_S, "members do not come to have everything")
        await self._until(self._are_known, LEVEL_S, "who was heard of is not known")
        self._note_removed()
        # Of who is gone each has what it had heard: all of that is to be there in the end.
        heard = [self._read(it) or {} for it in self._rooms_up()]
        for name in sorted(self.tallies.gone):
            await self._until_done("retire", name)
        await self._until(self._are_folded, FOLDED_S, "who is gone is not folded")
        for _round in range(2):
            await self._until_done("purge")
            await self._until(self._agree, LEVEL_S, "members do not come to read the same")
        for read in heard:
            self._judge(read)

    def _rooms_up(self) -> list[Room]:
        """Of those who are in the cluster, by whoever leads."""
        leader = self._machines.leader()
        if leader is None:
            return []
        nodes = leader.core.configuration.all_nodes()
        up = [it for it in self._machines if it.member and it.member.member_id in nodes]
        return [self._members.rooms[it.number] for it in up]

    def _note_removed(self) -> None:
        """Those are gone who are not in the cluster any more, or whose directory is another's now.

        Of the latter, who was lost before it was known is called by its epoch, too.
        """
        leader = self._machines.leader()
        if leader is None:
            return
        nodes = leader.core.configuration.all_nodes()
        countings = [it.counting for it in self._rooms_up() if it.counting is not None]
        here = {it.replica.member_id: it.store.epoch for it in countings if it.store is not None}
        self.tallies.gone |= {
            it.name
            for it in self._facts().counting()
            if it.member_id not in nodes or here.get(it.member_id, it.epoch) != it.epoch
        }

    def _facts(self) -> Facts:
        countings = [it.counting for it in self._rooms_up() if it.counting is not None]
        return max((it.known.facts for it in countings), key=lambda it: it.edition, default=NOTHING)

    async def _until(self, holds: Callable[[], bool], seconds: float, text: str) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + seconds
        while not holds():
            if loop.time() > until_s:
                raise Violation(f"{text}, {seconds} s after everything healed")
            await self._machines.start_all()
            await asyncio.sleep(0.05)

    def _is_repaired(self) -> bool:
        """Whether nobody is broken; who was found out is given another name, and begins anew.

        Raises:
            Violation: somebody is who has no reason to be.

        """
        is_repaired = True
        for machine in self._machines:
            room = self._members.rooms.get(machine.number)
            error = None if room is None or room.counting is None else room.counting.error
            if room is None or error is None or room.name in self.tallies.gone:
                continue
            is_doubtful = room.name in self.tallies.doubtful
            if not is_doubtful or not isinstance(error, OwnerForked | OwnerRefused):
                raise Violation(f"the counters of {room.name} have stopped: {error}")
            self._chronicle.result.found_out += 1
            self._machines.crash(machine, loses_power=False)
            self._renew(room)
            is_repaired = False
        return is_repaired

    async def _until_answered(self) -> None:
        """Ask until it is known what became of each request, but of those whose member is gone."""
        until_s = asyncio.get_running_loop().time() + LEVEL_S
        machines = {it.number: it for it in self._machines}
        while self._pending:
            for number, at in list(self._pending):
                if machines[at].is_gone:
                    self.tallies.gone.add(self._pending.pop((number, at)).owner)
                elif machines[at].member is not None:
                    await self._ask(number, machines[at])
            self._is_repaired()
            await self._machines.start_all()
            if asyncio.get_running_loop().time() > until_s:
                raise Violation(f"{len(self._pending)} requests to count have no answer")
            await asyncio.sleep(0.05)

    def _are_level(self) -> bool:
        """Whether all serve, and each has told each other all; of who is gone they differ still."""
        rooms = self._rooms_up()
        here = {it.counting.replica.member_id for it in rooms if it.counting is not None}
        links = [
            link
            for it in rooms
            if it.counting is not None and it.counting.exchange is not None
            for partner, link in it.counting.exchange.links.items()
            if partner in here
        ]
        return (
            bool(rooms)
            and self._is_repaired()
            and all(self._read(it) is not None for it in rooms)
            and all(it.is_level for it in links)
        )

    def _are_known(self) -> bool:
        """Whether all members know the names of all whom somebody has heard of."""
        countings = [it.counting for it in self._rooms_up() if it.counting is not None]
        heard_of = {
            it.store.owners.epochs[number]
            for it in countings
            if it.store is not None
            for number, heard in it.store.heard.items()
            if heard.version and not it.store.owners.is_fold(number)
        }
        return all(heard_of <= {it.epoch for it in one.known.facts.owners} for one in countings)

    def _agree(self) -> bool:
        """Whether all serve, and read the same."""
        read = [self._read(it) for it in self._rooms_up()]
        is_whole = bool(read) and None not in read
        return self._is_repaired() and is_whole and all(it == read[0] for it in read)

    def _read(self, room: Room) -> dict[str, dict[str, int]] | None:
        """What a member says that each has counted, by counters; None = it serves nobody."""
        counting = room.counting
        if counting is None or counting.state is not State.OPEN or counting.exchange is None:
            return None
        try:
            store = counting.check_ready()
        except NotReady:
            return None
        if store is None:
            return None
        found: dict[str, dict[str, int]] = {}
        for name in self._counters():
            parts: dict[str, int] = {}
            for epoch, value in reading.read_raw(store, name).items():
                owner = counting.known.facts.name_of(epoch)
                parts[owner] = parts.get(owner, 0) + value
            found[name] = parts
        return found

    def _counters(self) -> list[str]:
        return sorted({it.counter for it in self.tallies.places()})

    def _judge(self, heard: dict[str, dict[str, int]]) -> None:
        """See what all read, now; `heard` is what one of them had read before.

        Raises:
            Violation: it is not what was counted, or less than was heard of somebody who is gone.

        """
        [read, *_] = [it for it in map(self._read, self._rooms_up()) if it is not None]
        for name, parts in read.items():
            faults = self.tallies.faults(name, parts)
            for owner, value in heard.get(name, {}).items():
                is_deleted = self.tallies.of(name, owner).deleted_max > 0
                if parts.get(owner, 0) < value and not is_deleted:
                    faults.append(f"{name} of {owner} has read {value}, and not any more")
            if faults:
                raise Violation("; ".join(faults))

    def _are_folded(self) -> bool:
        rooms = self._rooms_up()
        return (
            bool(rooms)
            and self._is_repaired()
            and all(
                it.counting is not None and it.counting.known.facts.current_fold is None
                for it in rooms
            )
        )

    async def _until_done(self, what: str, name: str = "") -> None:
        """Have an operator ask until it is done, or there was nothing to do."""
        until_s = asyncio.get_running_loop().time() + LEVEL_S
        while True:
            operators = next(
                (it.operators for it in self._rooms_up() if it.operators is not None), None
            )
            if name and self._facts().of_name(name) is None:
                return  # it has counted under its name for so short a time that nobody knew it
            if operators is None:
                await self._machines.start_all()
                await asyncio.sleep(0.1)  # nobody leads
                continue
            try:
                await operators.administer(what, name=name, who="the judge")
            except RoostError as error:
                if asyncio.get_running_loop().time() > until_s:
                    raise Violation(f"counters: {what} {name} is refused: {error}") from error
                await self._machines.start_all()
                await asyncio.sleep(0.5)
            else:
                return
