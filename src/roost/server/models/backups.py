"""A member's backups, as the dashboard asks for them: listed, saved, verified, sent.

What is done to files is done by processes (`roost.member.snapshots.shelf_work`), which can be ended
at any moment: the directory may be another machine's, and a bucket always is.

Full?  There is one process that lists: who asks while it does waits for the next, with all others
who do.  One saves or verifies, and SENDING_MAX send; whoever wants one more is refused.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from roost.children import Ended, Piped, run_module
from roost.dashboard.storing import BackupState, File, Job, KeptBackup
from roost.errors import CallerFault, Overloaded, RoostError
from roost.member import (
    SHELF,
    BackupFailed,
    BackupSchedule,
    Listed,
    Progress,
    Sent,
    Verified,
)
from roost.outcome import settle_future
from roost.server.options import Backups
from roost.tasks import Tasks

logger = logging.getLogger(__name__)
SENDING_MAX = 2
# The first line of what a process sends is a few numbers, or why there is nothing.
_LINE_BYTES_MAX = 8 << 10
_Said = TypeVar("_Said", bound=msgspec.Struct)


class Lending(Protocol):
    """What is asked of a member's files."""

    def lend_snapshot(self) -> AbstractAsyncContextManager[Path]:
        """A copy of the store, as long as the block lasts."""


class NoPlace(CallerFault):
    """The member was told no place for backups."""


@dataclass(frozen=True, slots=True)
class Shelved:
    """Where backups are saved by the clock, and who saves them."""

    options: Backups
    schedule: BackupSchedule


class BackupDesk:
    """One member's."""

    def __init__(
        self,
        files: Lending,
        name: str,
        shelved: Shelved | None,
        clock_s: Callable[[], float],
    ) -> None:
        """Nothing is being done."""
        self._files = files
        self._name = name
        self._shelved = shelved
        self._clock_s = clock_s
        self._began_s = 0.0
        self._job = Job()
        self._tasks = Tasks()
        self._sending_count = 0
        # The listing that runs, and the one that begins when that is over.
        self._listing: asyncio.Task[Listed | RoostError] | None = None
        self._next_listing: asyncio.Task[Listed | RoostError] | None = None

    def stop(self) -> None:
        """Do nothing more."""
        self._tasks.cancel()

    async def close(self) -> None:
        """Wait until nothing is being done."""
        await self._tasks.close()

    async def look(self) -> BackupState:
        """What is there.

        Raises:
            BackupFailed: the directory cannot be read.

        """
        if self._shelved is None:
            return BackupState.of_none(self.job())
        options = self._shelved.options
        listed = await self._listed()
        return BackupState(
            place=options.place,
            interval_s=options.interval_s,
            full_interval_s=options.full_interval_s,
            keep_count=options.keep_count,
            backups=[
                KeptBackup(name=it.name, size_bytes=it.size_bytes, at_s=it.at_s)
                for it in listed.backups
            ],
            is_cut=listed.is_cut,
            job=self.job(),
        )

    async def _listed(self) -> Listed:
        """What is there now: no listing that began before may have seen it."""
        if self._next_listing is None:
            self._next_listing = self._tasks.start(self._list(self._listing))
        # It is not ours alone: whoever goes away ends it for nobody.
        found = await asyncio.shield(self._next_listing)
        if isinstance(found, RoostError):
            raise found
        return found

    async def _list(
        self, before: "asyncio.Task[Listed | RoostError] | None"
    ) -> Listed | RoostError:
        """List when the one before has ended; what fails is told to all who wait for it."""
        if before is not None:
            await asyncio.wait([before])
        self._listing, self._next_listing = self._next_listing, None
        try:
            return await self._asked(Listed, "list")
        except OSError as error:
            return BackupFailed(f"no process could be started: {error}")
        except RoostError as error:
            return error

    def job(self) -> Job:
        """What is being done, or was done last."""
        if self._job.is_over:
            return self._job
        return msgspec.structs.replace(self._job, seconds=self._clock_s() - self._began_s)

    def begin_save(self) -> Job:
        """Begin to save one.

        Raises:
            NoPlace: there is no directory for it.
            Overloaded: something is being done.

        """
        self._place()
        return self._begin("save", "", "copying the store", self._save())

    def begin_verify(self, name: str) -> Job:
        """Begin to read all of one, and compare its digest; raises as `begin_save`."""
        self._place()
        return self._begin("verify", name, "checking", self._verify(name))

    async def kept(self, name: str) -> File:
        """A backup that is there.

        Raises:
            NoPlace, BackupFailed: it is not, or cannot be read.
            Overloaded: as many are sent as can be.

        """
        place = self._place()
        self._claim()
        return await self._sent(name, _nothing, "send", place, name)

    async def whole(self) -> File:
        """A backup of now, which is kept nowhere.

        Raises:
            SnapshotFailed, BackupFailed: it could not be made.
            Overloaded: as many are sent as can be.

        """
        self._claim()
        lent: asyncio.Future[Path] = asyncio.get_running_loop().create_future()
        is_used = asyncio.Event()
        self._tasks.start(self._lend(lent, is_used))
        try:
            copy = await lent
        except BaseException:
            is_used.set()
            self._sending_count -= 1
            raise
        return await self._sent(f"{self._name}.db", is_used.set, "give", str(copy))

    async def _lend(self, lent: asyncio.Future[Path], is_used: asyncio.Event) -> None:
        """Keep a copy of the store until it `is_used`; whoever closes us ends that, too."""
        try:
            async with self._files.lend_snapshot() as copy:
                if not lent.done():
                    lent.set_result(copy)
                await is_used.wait()
        except RoostError as error:
            settle_future(lent, error)
        except OSError as error:
            settle_future(lent, BackupFailed(f"the store could not be copied: {error}"))
        finally:
            lent.cancel()  # where nobody was told anything: we are being ended

    def _place(self) -> str:
        if self._shelved is None:
            raise NoPlace("this member keeps no backups: start it with --backup-dir")
        return self._shelved.options.place

    def _begin(self, kind: str, name: str, phase: str, work: Coroutine[None, None, str]) -> Job:
        if not self._job.is_over:
            work.close()
            raise Overloaded(
                f"a backup is being {self._job.kind}d already: wait until that is done"
            )
        self._began_s = self._clock_s()
        self._job = Job(kind=kind, name=name, phase=phase, is_over=False)
        self._tasks.start(self._do(work))
        return self.job()

    async def _do(self, work: Awaitable[str]) -> None:
        said, fault = "", "the member stops"
        try:
            said = await work
            fault = ""
        except (RoostError, OSError) as error:
            fault = str(error)
            logger.error("%s of a backup: %s", self._job.kind, fault)  # noqa: TRY400 - one line
        finally:
            self._job = msgspec.structs.replace(self.job(), is_over=True, said=said, fault=fault)

    async def _save(self) -> str:
        assert self._shelved is not None, "there is a place"
        saved = await self._shelved.schedule.save_by_hand(self._hear)
        self._job = msgspec.structs.replace(self._job, name=saved.name)
        logger.info("backup %s, %d bytes, for somebody", saved.name, saved.size_bytes)
        return f"{saved.size_bytes} bytes were saved"

    async def _verify(self, name: str) -> str:
        def told(line: bytes) -> None:
            self._hear(msgspec.json.decode(line, type=Progress))

        held = await self._asked(Verified, "verify", name, hear=told)
        return f"it is as it was saved: everything up to entry {held.index}, sha256 {held.digest}"

    def _hear(self, said: Progress) -> None:
        self._job = msgspec.structs.replace(
            self._job,
            phase=said.phase,
            done_bytes=said.done_bytes,
            total_bytes=said.total_bytes,
        )

    async def _asked(
        self,
        form: type[_Said],
        work: str,
        *arguments: str,
        hear: Callable[[bytes], None] | None = None,
    ) -> _Said:
        ended = await run_module(SHELF, work, self._place(), *arguments, hear=hear)
        return _told(ended, form)

    def _claim(self) -> None:
        if self._sending_count >= SENDING_MAX:
            raise Overloaded(f"{SENDING_MAX} backups are being sent, which are all there can be")
        self._sending_count += 1

    async def _sent(self, name: str, on_used: Callable[[], None], *arguments: str) -> File:
        """What a process gives; `on_used()` follows when nobody takes it any more."""
        try:
            piped = Piped(SHELF, *arguments)
        except OSError as error:
            self._sending_count -= 1
            on_used()
            raise BackupFailed(f"no process could be started: {error}") from error
        is_open = True

        def close() -> None:
            nonlocal is_open
            if is_open:
                is_open = False
                self._sending_count -= 1
                piped.close()
                on_used()

        try:
            sent, rest = await _first_line(piped)
            if sent.fault:
                raise BackupFailed(sent.fault)
        except BaseException:
            close()
            raise
        return File(name, sent.size_bytes, _pieces(piped, rest, sent.size_bytes), close)


def _nothing() -> None:
    """There is nothing to be let go."""


async def _first_line(piped: Piped) -> tuple[Sent, bytes]:
    """What a process says before the bytes that it sends, and those that have come with it."""
    held = b""
    while b"\n" not in held:
        piece = await piped.take()
        held += piece
        if not piece or len(held) > _LINE_BYTES_MAX:
            break
    line, _, rest = held.partition(b"\n")
    try:
        return msgspec.json.decode(line, type=Sent), rest
    except ValueError as error:
        raise BackupFailed("the process that reads it has ended without a word") from error


async def _pieces(piped: Piped, first: bytes, size_bytes: int) -> AsyncIterator[bytes]:
    """All bytes of a file.

    Raises:
        BackupFailed: there are fewer than were said.

    """
    left = size_bytes - len(first)
    yield first
    while left > 0:
        piece = await piped.take()
        if not piece:
            raise BackupFailed(f"a backup ended {left} bytes before its end")
        left -= len(piece)
        yield piece


def _told(ended: Ended, form: type[_Said]) -> _Said:
    """What a process has said.

    Raises:
        BackupFailed: it has failed.

    """
    if ended.code:
        raise BackupFailed(f"the process for it ended with {ended.code}")
    said = msgspec.json.decode(ended.said, type=form)
    if fault := getattr(said, "fault", ""):
        raise BackupFailed(fault)
    return said
