"""The world of one simulated member; it survives the member's crashes, as a disk does."""

import asyncio
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from roost.journal import JournalConfig
from roost.member.errors import SnapshotFailed
from roost.member.machine.reserve import Reserve
from roost.member.machine.worker import Worker
from roost.member.machine.world import World
from roost.memory import Memory
from roost.peer import PeerConfig, Secrets, Transport
from roost.sim.members.disk import SimDisk
from roost.sim.members.network import Host, SimNetwork
from roost.sim.members.turns import aside
from roost.store import InlineKeeper, Keeper, ScrubReport, SnapshotFile, StoreError

Address = tuple[str, int]
Result = TypeVar("Result")
# Which part of what was not synced a power cut leaves on the disk, sector by sector.
SECTORS_KEPT = (0.0, 0.3, 0.9)
# More than the starts of one directory.
INCARNATION_STEP = 1 << 20
# How often simulated members compare their states.
DIGEST_ENTRIES = 16
# A slow disk: how long a write takes, and how often and how long it hangs.
WRITE_S_MEAN = 0.005
STALL_ODDS, STALL_S = 0.005, (0.2, 3.0)
# How long work on another thread takes at most.
ASIDE_S = 0.2


class RandomDice:
    """Chance from a named stream of the seed."""

    def __init__(self, stream: random.Random) -> None:
        """Draw from `stream`."""
        self._stream = stream

    def below(self, n: int) -> int:
        """A number from 0 to n - 1."""
        return self._stream.randrange(n)


class SlowWorker:
    """Writes one after another, each after a while and some after a long one, in virtual time."""

    def __init__(self, stream: random.Random) -> None:
        """Nothing waits."""
        self._stream = stream
        self._free_s = 0.0
        self._timers: list[asyncio.TimerHandle] = []

    def submit(
        self,
        call: Callable[[], Result],
        answer: Callable[[Result], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        """Do it when the disk comes to it; a power cut in it ends the machine, as any does."""
        loop = asyncio.get_running_loop()
        takes_s = self._stream.expovariate(1 / WRITE_S_MEAN)
        if self._stream.random() < STALL_ODDS:
            takes_s += self._stream.uniform(*STALL_S)
        self._free_s = max(self._free_s, loop.time()) + takes_s

        def work() -> None:
            try:
                with aside():  # a thread of its own, in production
                    result = call()
            except Exception as error:  # noqa: BLE001 - whatever it is, who asked has to know
                loop.call_soon(fail, error)
            else:
                loop.call_soon(answer, result)

        self._timers = [it for it in self._timers if it.when() >= loop.time()]
        self._timers.append(loop.call_at(self._free_s, work))

    def die(self) -> None:
        """What was not written never will be."""
        for timer in self._timers:
            timer.cancel()

    def shutdown(self) -> None:
        """Simulated members are never stopped in order."""


class SimKeeper(InlineKeeper):
    """A keeper in this process; the work is none of the member's, whose keeper is another."""

    def add(self, index: int, term: int, payload: bytes) -> None:
        """Merge one payload."""
        with aside():
            super().add(index, term, payload)

    def flush(self, index: int, term: int) -> None:
        """Commit at once."""
        with aside():
            super().flush(index, term)

    def move(self, directory: Path) -> None:
        """Move at once."""
        with aside():
            super().move(directory)

    def copy(self, target: Path) -> SnapshotFile:
        """Copy the environment to a new file."""
        with aside():
            return super().copy(target)


class SimWorld(World):
    """A disk in memory, a seeded dice, a simulated network; LMDB on the real file system.

    LMDB is what it is in production, but not synced: it only ever holds what was committed, and
    a transaction of it survives a power cut whole or not at all.
    """

    def __init__(
        self,
        network: SimNetwork,
        address: Address,
        stream: random.Random,
        *,
        segment_bytes: int,
        clock_rate: float = 1.0,
        peer_secrets: Secrets | None = None,
        peer_config: PeerConfig | None = None,
    ) -> None:
        """Begin with an empty disk; the clock runs `clock_rate` times as fast as true time."""
        self.peer_secrets = peer_secrets or Secrets()
        self.memory = Memory()
        self.network: Host = Host(network, address)
        self.address = address
        # Called when whatever came from one connection at one time was handed to the member.
        self.on_frames: Callable[[], None] = lambda: None
        self._peer_config = peer_config or PeerConfig()
        self.disk: SimDisk = SimDisk()
        self.dice = RandomDice(stream)
        self._stream = stream
        self.journal_config = JournalConfig(
            segment_bytes=segment_bytes,
            slot_count=256,
            prepares_ahead=False,
            entropy=lambda: stream.getrandbits(64),
        )
        self._clock_rate = clock_rate
        self._workers: list[SlowWorker] = []
        self._incarnation = 0
        self._keepers: dict[Path, SimKeeper] = {}

    def wall_s(self) -> float:
        """Virtual seconds."""
        return asyncio.get_running_loop().time()

    def clock_s(self) -> float:
        """Virtual seconds, as this machine counts them."""
        return asyncio.get_running_loop().time() * self._clock_rate

    def spent_s(self) -> float:
        """As `clock_s`: what runs in a simulation takes no time, and always the same."""
        return self.clock_s()

    def make_reserve(self, data_dir: Path) -> Reserve:
        """The simulated disk is not on this machine's file system: nothing is set aside there."""
        return Reserve(data_dir, 0)

    def make_worker(self) -> Worker:
        """A disk that takes its time."""
        worker = SlowWorker(self._stream)
        self._workers.append(worker)
        return worker

    def new_incarnation(self) -> int:
        """One more."""
        self._incarnation += INCARNATION_STEP
        return self._incarnation

    def has_directory(self, path: Path) -> bool:
        """Whether there is such a directory on the simulated disk."""
        return path in self.disk.directories

    def make_keeper(self, directory: Path) -> Keeper:
        """A keeper in this process."""
        keeper = SimKeeper(directory, is_synced=False, digest_entries=DIGEST_ENTRIES)
        self._keepers[directory] = keeper
        return keeper

    async def start_keeper(self, directory: Path) -> Keeper:
        """A keeper in this process."""
        return self.make_keeper(directory)

    def make_transport(self, **options: Any) -> Transport:  # Any: Transport's own options
        """Links with bounds of this machine, whose frames are heard of."""
        on_batch_end = options["on_batch_end"]

        def on_frames() -> None:
            on_batch_end()
            self.on_frames()

        changed = {"config": self._peer_config, "on_batch_end": on_frames}
        return super().make_transport(**(options | changed))

    async def copy_store(self, directory: Path, target: Path) -> SnapshotFile:
        """Copy what the keeper wrote; it takes a while."""
        await asyncio.sleep(self._stream.uniform(0, 0.5))
        try:
            return self._keepers[directory].copy(target)
        except StoreError as error:  # the store went away meanwhile
            raise SnapshotFailed(str(error)) from error

    async def scrub(self, directory: Path, *, is_awaited: bool = False) -> ScrubReport | None:
        """Not this time: another process would run in another time, and we have it open."""
        del directory, is_awaited
        return None

    async def run_aside(self, work: Callable[[], Result]) -> Result:
        """Work of another thread: it takes a while, and none of the member's turns."""
        await asyncio.sleep(self._stream.uniform(0, ASIDE_S))
        with aside():
            return work()

    async def sync_file(self, descriptor: int) -> None:
        """The simulated machine has no such cache to lose."""

    async def remove_file(self, path: Path) -> None:
        """Remove a file."""
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - no time passes here

    async def remove_tree(self, directory: Path) -> None:
        """Remove a directory."""
        shutil.rmtree(directory)

    def crash(self, *, loses_power: bool) -> None:
        """The member is gone; after a power cut so is what was not synced."""
        self.network.end(loses_power=loses_power)
        self._keepers.clear()
        for worker in self._workers:
            worker.die()
        self._workers.clear()
        keep = self._stream.choice(SECTORS_KEPT) if loses_power else 1.0
        self.disk = self.disk.crash(self._stream, keep=keep)
