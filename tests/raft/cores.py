"""What the tests of cores begin with."""

from roost.raft import (
    Change,
    Configuration,
    Core,
    CoreConfig,
    Entry,
    EntryKind,
    HardState,
    Role,
)
from roost.sim.cores.cores import CoreCluster, SeededDice
from roost.sim.cores.storage import MemoryStorage


def entry(index: int, term: int, payload: bytes = b"") -> Entry:
    return Entry(index, term, EntryKind.NORMAL, payload)


def core_with(log: list[Entry], term: int, *, voters: tuple[int, ...] = (1, 2, 3)) -> Core:
    storage = MemoryStorage(log)
    return Core(
        CoreConfig(id=1),
        dice=SeededDice(1),
        storage=storage,
        hard_state=HardState(term, 0),
        configuration=Configuration(voters=voters),
        applied_index=0,
    )


def answers(core: Core) -> list[object]:
    """Everything the core says, its disk being instant."""
    said: list[object] = []
    while (ready := core.take_ready()) is not None:
        said += [message for _, message in ready.messages]
        core.persisted(ready)
        said += [message for _, message in ready.messages_after_persist]
    return said


def seeded(size: int = 3, joiners: int = 2, **options: int) -> CoreCluster:
    """A cluster with a leader, node 1."""
    network = CoreCluster(size, joiners=joiners, **options)  # type: ignore[arg-type]  # CoreConfig's
    network.elect(1)
    return network


def change(network: CoreCluster, *changes: Change, **how: object) -> None:
    leader = next(it for it in network.nodes.values() if it.core.role is Role.LEADER)
    leader.core.propose_change(changes, **how)  # type: ignore[arg-type]  # a test's options
    network.settle()


def follower_with(log: list[Entry], term: int, **options: object) -> Core:
    return Core(
        CoreConfig(id=1, **options),  # type: ignore[arg-type]  # a test's options
        dice=SeededDice(1),
        storage=MemoryStorage(log),
        hard_state=HardState(term, 0),
        configuration=Configuration(voters=(1, 2, 3)),
        applied_index=0,
    )
