"""What a member finds around it: files, time, chance, other members.

Everything that a member takes from outside comes through here, so that a simulator can bring a
world of its own, and run the same member in it (D10).
"""

import asyncio
import logging
import os
import random
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from roost.children import run_module
from roost.journal import Disk, JournalConfig, OsDisk
from roost.member.errors import SnapshotFailed
from roost.member.machine.reserve import Reserve
from roost.member.machine.worker import OneThread, Worker
from roost.memory import Memory
from roost.peer import (
    Dice,
    Doorbell,
    Network,
    OsNetwork,
    PeerTls,
    Secrets,
    Stream,
    Transport,
    dial,
)
from roost.settings import DEFAULTS
from roost.store import (
    Keeper,
    PageCorrupt,
    ProcessKeeper,
    ScrubReport,
    SnapshotFile,
    StoreError,
)
from roost.store.crash import crash_signal
from roost.store.scrub import NICENESS
from roost.store.snapshot import EXIT_CORRUPT

logger = logging.getLogger(__name__)
Address = tuple[str, int]
Result = TypeVar("Result")
SEGMENT_BYTES_MIN = 64 << 10
# One identifier slot for so many bytes of a segment.
BYTES_PER_SLOT, SLOTS_MIN = 512, 64
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemDice:
    """Chance from the operating system, so that members never draw the same timeouts."""

    def __init__(self) -> None:
        """Seed from the operating system's entropy."""
        self._random = random.SystemRandom()

    def below(self, n: int) -> int:
        """A number from 0 to n - 1."""
        return self._random.randrange(n)


class World:
    """The real one: what the operating system gives."""

    def __init__(
        self,
        *,
        segment_bytes: int = DEFAULTS.segment_bytes,
        peer_tls: PeerTls | None = None,
        peer_secrets: Secrets | None = None,
        memory: Memory | None = None,
    ) -> None:
        """Use the operating system; segments of the journal have that size.

        Without `memory` there is as much as anybody wants.
        """
        self.memory = memory or Memory()
        self.network: Network = OsNetwork(peer_tls)
        self.peer_secrets = peer_secrets or Secrets()
        self.disk: Disk = OsDisk()
        self.dice: Dice = SystemDice()
        slot_count = max(SLOTS_MIN, segment_bytes // BYTES_PER_SLOT)
        self.journal_config = JournalConfig(segment_bytes=segment_bytes, slot_count=slot_count)

    def wall_s(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def clock_s(self) -> float:
        """Seconds of a clock that never goes back, and goes on while the machine sleeps."""
        return time.clock_gettime(_CLOCK)

    def spent_s(self) -> float:
        """Seconds of the processor that this thread has taken: what waits for it costs nobody."""
        return time.thread_time()

    def new_incarnation(self) -> int:
        """A number above all that were drawn before."""
        return time.time_ns()

    def has_directory(self, path: Path) -> bool:
        """Whether there is such a directory."""
        return path.exists()

    def make_keeper(self, directory: Path) -> Keeper:
        """Start what writes the store in `directory`."""
        return ProcessKeeper(directory)

    async def start_keeper(self, directory: Path) -> Keeper:
        """As `make_keeper`, while the loop goes on: a process takes its time to start.

        Raises:
            StoreError: the store cannot be opened.

        """
        loop = asyncio.get_running_loop()
        starting = loop.run_in_executor(None, self.make_keeper, directory)
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            with suppress(StoreError):
                (await starting).close()
            raise

    def make_reserve(self, data_dir: Path) -> Reserve:
        """Space set aside on the disk of a member."""
        return Reserve(data_dir)

    def make_worker(self) -> Worker:
        """What writes the journal when the disk is slow."""
        return OneThread()

    def make_transport(self, **options: Any) -> Transport:  # Any: Transport's own options
        """Links to the other members."""
        return Transport(network=self.network, secrets=self.peer_secrets, **options)

    async def dial(self, address: Address) -> Stream:
        """Connect to a peer's port, to join."""
        return await dial(self.network, address)

    def make_doorbell(self, listen: Sequence[Address]) -> Doorbell:
        """What answers our peer port until the member runs."""
        return Doorbell(listen, self.network)

    async def copy_store(self, directory: Path, target: Path) -> SnapshotFile:
        """Copy the store in `directory` to a file, while it is written to.

        Raises:
            SnapshotFailed: the process that copies failed.
            PageCorrupt: what it read is damaged.

        """
        ended = await run_module("roost.store.snapshot", str(directory), str(target))
        if ended.code == EXIT_CORRUPT:
            raise PageCorrupt(ended.said.decode(errors="replace").strip())
        if number := crash_signal(ended.code):
            raise PageCorrupt(f"copying it ends the process: signal {number}")
        if ended.code:
            raise SnapshotFailed(f"the copy of the store ended with {ended.code}")
        return msgspec.json.decode(ended.said, type=SnapshotFile)

    async def scrub(self, directory: Path, *, is_awaited: bool = False) -> ScrubReport | None:
        """Read all of the store in `directory`; None when that could not be done.

        A process that dies of what it reads has found that the store is damaged.  It leaves the
        machine to everybody else, unless it `is_awaited`.
        """
        niceness = 0 if is_awaited else NICENESS
        try:
            ended = await run_module("roost.store.scrub", str(directory), str(niceness))
        except OSError as error:
            logger.warning("no process can be started to read the store: %s", error)
            return None
        if number := crash_signal(ended.code):
            fault = f"reading it ends the process: signal {number}"
            return ScrubReport(record_count=0, value_bytes=0, index=0, took_s=0.0, fault=fault)
        if ended.code:
            return None
        return msgspec.json.decode(ended.said, type=ScrubReport)

    async def run_aside(self, work: Callable[[], Result]) -> Result:
        """Run `work` on a thread, so that the loop goes on; whoever is cancelled waits for its end.

        Nothing can end a thread, and what it uses must not be taken away from it.
        """
        future = asyncio.get_running_loop().run_in_executor(None, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            while not future.done():
                # Whoever ends tasks cancels them again: it is the thread's end that is waited for.
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([future])
            if not future.cancelled():
                future.exception()  # whoever would have been told is gone
            raise

    async def sync_file(self, descriptor: int) -> None:
        """Make a file durable without holding the loop up."""
        await asyncio.get_running_loop().run_in_executor(None, os.fsync, descriptor)

    async def remove_file(self, path: Path) -> None:
        """Remove a file without holding the loop up: giving back its blocks takes a while."""
        await asyncio.get_running_loop().run_in_executor(None, path.unlink, True)

    async def remove_tree(self, directory: Path) -> None:
        """Remove a directory without holding the loop up."""
        await asyncio.get_running_loop().run_in_executor(None, shutil.rmtree, directory)
