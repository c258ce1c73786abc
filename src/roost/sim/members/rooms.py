"""Counters on simulated machines: what is on their disks, and under which name each counts."""

from collections.abc import Callable
from dataclasses import dataclass

from roost.call import Caller
from roost.counters.calls import CounterService
from roost.counters.counting import Counting
from roost.counters.desk import Desk
from roost.counters.environment import MemoryTrees, Trees
from roost.counters.operators import Operators
from roost.counters.rights import Needed
from roost.counters.watching import Hub
from roost.errors import RoostError
from roost.member import Member
from roost.sim.members.machines import Machine

DIRECTORY = "counters.1"


class _Everybody:
    """Everybody may do everything."""

    def admit(
        self,
        caller: Caller,
        needed: Needed,
        allowed: Callable[[], None],
        refused: Callable[[RoostError], None],
    ) -> None:
        """Go on."""
        del caller, needed, refused
        allowed()


@dataclass(slots=True)
class Room:
    """The counters of one machine: what is on its disk, and under which name it counts."""

    name: str
    trees: MemoryTrees
    counting: Counting | None = None
    operators: Operators | None = None
    old: MemoryTrees | None = None
    lost_count: int = 0


class CounterMembers:
    """Counters on all machines."""

    def __init__(self) -> None:
        """There are none."""
        self.rooms: dict[int, Room] = {}

    def attach(self, machine: Machine, member: Member) -> Counting:
        """Build them on a member that has not started."""
        name, number = machine.config.name, machine.number
        room = self.rooms.setdefault(number, Room(name, MemoryTrees()))
        directory = machine.config.data_dir / DIRECTORY

        def open_trees() -> Trees:
            directory.mkdir(exist_ok=True)  # by it a member knows that it has counted
            return room.trees

        counting = room.counting = Counting(
            member,
            machine.world,
            directory,
            name=room.name,
            chance=machine.world.dice,
            open_trees=open_trees,
        )
        desk, room.operators = Desk(counting), Operators(counting)
        service = CounterService(desk, _Everybody(), Hub(desk), room.operators)
        machine.routes |= service.routes()
        return counting

    def end(self, machine: Machine) -> None:
        """The member of a machine is gone."""
        room = self.rooms[machine.number]
        if room.counting is not None:
            room.counting.abandon()
        room.counting = room.operators = None
