"""The real and the simulated are the same to whoever stands on them."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from roost.journal import Disk, Identity, Journal, JournalConfig, OsDisk
from roost.member import World
from roost.peer import OsNetwork
from roost.raft import Entry
from roost.sim import conformance
from roost.sim.conformance import Ways, WritableStorage
from roost.sim.cores.storage import MemoryStorage
from roost.sim.members.disk import SimDisk
from roost.sim.members.loop import run_virtually
from roost.sim.members.network import Host, SimNetwork
from roost.sim.members.world import SimWorld
from roost.store import InlineKeeper, Keeper, ProcessKeeper
from roost.testing.ports import free_ports

SEGMENT_BYTES = 64 << 10
IDENTITY = Identity(cluster_id=1, member_id=2, incarnation=1, created=1.0)


def name_of(check: object) -> str:
    return str(getattr(check, "__name__", check))


@pytest.mark.parametrize("check", conformance.DISK, ids=name_of)
@pytest.mark.parametrize("make", [OsDisk, SimDisk], ids=name_of)
def test_a_disk(
    check: Callable[[Disk, Path], None], make: Callable[[], Disk], tmp_path: Path
) -> None:
    disk = make()
    directory = tmp_path / "files"
    disk.make_directory(directory)
    check(disk, directory)


class JournalStorage:
    """A journal, as its owner uses it."""

    def __init__(self, directory: Path, disk: Disk) -> None:
        config = JournalConfig(segment_bytes=SEGMENT_BYTES, slot_count=256, prepares_ahead=False)
        disk.make_directory(directory)
        self._journal = Journal.open(directory, identity=IDENTITY, disk=disk, config=config)

    def __getattr__(self, name: str) -> object:
        """All that a core asks is the journal's own."""
        return getattr(self._journal, name)

    def write(self, entries: Sequence[Entry]) -> None:
        self._journal.persist(None, entries)

    def drop_to(self, index: int) -> None:
        self._journal.compact(index)

    def begin_behind(self, index: int, term: int) -> None:
        self._journal.begin_behind(index, term)

    def close(self) -> None:
        self._journal.close()


def journal_on_files(root: Path) -> WritableStorage:
    return JournalStorage(root / "journal", OsDisk())  # type: ignore[return-value]  # __getattr__


def journal_in_memory(root: Path) -> WritableStorage:
    return JournalStorage(root / "journal", SimDisk())  # type: ignore[return-value]  # the same


def memory(_root: Path) -> WritableStorage:
    return MemoryStorage()


@pytest.mark.parametrize("check", conformance.STORAGE, ids=name_of)
@pytest.mark.parametrize("make", [journal_on_files, journal_in_memory, memory], ids=name_of)
def test_a_storage(
    check: Callable[[WritableStorage], None],
    make: Callable[[Path], WritableStorage],
    tmp_path: Path,
) -> None:
    log = make(tmp_path)
    check(log)
    if isinstance(log, JournalStorage):
        log.close()


@pytest.mark.parametrize("check", conformance.KEEPER, ids=name_of)
@pytest.mark.parametrize(
    "make", [pytest.param(ProcessKeeper, marks=pytest.mark.slow), InlineKeeper], ids=name_of
)
def test_a_keeper(
    check: Callable[[Callable[[Path], Keeper], Path], None],
    make: Callable[[Path], Keeper],
    tmp_path: Path,
) -> None:
    check(make, tmp_path)


def sim_world(*, clock_rate: float = 1.0) -> World:
    network = SimNetwork(random.Random(1), delay_s_mean=0.001)
    stream = random.Random(2)
    return SimWorld(
        network, ("10.0.0.1", 2380), stream, segment_bytes=SEGMENT_BYTES, clock_rate=clock_rate
    )


@pytest.mark.parametrize("check", conformance.MACHINE, ids=name_of)
def test_a_machine(check: Callable[[World], Awaitable[None]]) -> None:
    async def on_this_one() -> None:
        await check(World())

    async def on_a_simulated_one() -> None:
        for rate in (0.94, 1.0, 1.06):
            await check(sim_world(clock_rate=rate))

    asyncio.run(on_this_one())
    run_virtually(on_a_simulated_one())


@pytest.mark.parametrize("check", conformance.NETWORK, ids=name_of)
def test_the_operating_systems_network(check: Callable[[Ways], Awaitable[None]]) -> None:
    async def main() -> None:
        nobody = free_ports(1)[0]
        here = ("127.0.0.1", 0)
        await check(Ways(OsNetwork(), OsNetwork(), here, here, ("127.0.0.1", nobody)))

    asyncio.run(main())


@pytest.mark.parametrize("window_bytes", [100, 4 << 10, 256 << 10])
@pytest.mark.parametrize("check", conformance.NETWORK, ids=name_of)
def test_a_simulated_network(check: Callable[[Ways], Awaitable[None]], window_bytes: int) -> None:
    async def main() -> None:
        network = SimNetwork(random.Random(1), delay_s_mean=0.001, window_bytes=window_bytes)
        here, there, nowhere = [(f"10.0.0.{it}", 2380) for it in (1, 2, 3)]
        await check(Ways(Host(network, here), Host(network, there), here, there, nowhere))

    run_virtually(main())
