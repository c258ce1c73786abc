"""Snapshots of machines: saved to a file without a name, sent part by part, read again.

A machine is saved on a thread, while no command changes it, into a file that vanishes with whoever
has it open; so nothing is left behind by a crash, and nothing but a part of it is in memory.  Then
it is sent as operations of a part each, while commands go on, and counts with the last one
(`layouts.machines`).
"""

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from math import inf
from typing import IO, Any

import msgspec

from roost.database import BadArgument, Operation, Refused
from roost.database.aio import Database
from roost.errors import NotExecuted, OutcomeUnknown
from roost.objects.errors import SnapshotFailed, SnapshotUnreadable
from roost.objects.layouts import operations as ops
from roost.objects.layouts.machines import (
    LENGTH,
    PART_BYTES,
    PARTS,
    STALE,
    Prelude,
    Snapshot,
    part_key,
)
from roost.objects.replica import Replica
from roost.objects.waiting import Looks
from roost.outcome import PROGRAM_FAULTS, in_words

CHECKSUM_BYTES = 16
# Parts that are read at once: about a millisecond.
PARTS_READ = 8
# How long a part may not come through before a snapshot is given up; another one follows.
PATIENCE_S = 30.0
_prelude = msgspec.msgpack.Decoder(Prelude)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotPolicy:
    """When the member that leads makes a snapshot, and how many commands stay behind it.

    It does when there are `commands` since the last one, or `size_bytes` of them, or one is
    `age_s` older than the next command; a state that is large waits until the commands are a
    quarter of it, so that what is sent is bounded by what is asked.

    Raises:
        BadArgument: on construction, when one cannot be.

    """

    commands: int = 10_000
    size_bytes: int = 16 << 20
    age_s: float = inf
    tail: int = 200

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name in self.__dataclass_fields__:
            if not getattr(self, name) > 0:
                raise BadArgument(f"{name} of a SnapshotPolicy must be more than 0")

    def is_due(self, last: Snapshot | None, index: int, since_bytes: int, at_s: float) -> bool:
        """Whether there should be another one, at `index` with so many bytes since the `last`."""
        since = index - (0 if last is None else last.index)
        if since <= 0:
            return False
        if last is not None and at_s - last.at_s >= self.age_s:
            return True
        if last is not None and 4 * since_bytes < last.size_bytes:
            return False
        return since >= self.commands or since_bytes >= self.size_bytes


DEFAULT_POLICY = SnapshotPolicy()


@dataclass(frozen=True, slots=True)
class Saved:
    """A machine as a file, and what it had carried out; whoever has it closes it."""

    file: IO[bytes]
    index: int
    digest: bytes
    at_s: float
    member: str


def save(replica: Replica, file: IO[bytes]) -> None:
    """Write a copy to a file, and come back to its beginning."""
    prelude = msgspec.msgpack.encode(Prelude(replica.kept))
    file.write(LENGTH.pack(len(prelude)) + prelude)
    replica.machine.save(file)  # type: ignore[arg-type]  # IO[bytes] is what BinaryIO is
    file.seek(0)


def load(replica: Replica, file: IO[bytes], snapshot: Snapshot) -> None:
    """Have a new copy go on from a snapshot."""
    (length,) = LENGTH.unpack(file.read(LENGTH.size))
    prelude = _prelude.decode(file.read(length))
    replica.machine.load(file)  # type: ignore[arg-type]  # IO[bytes] is what BinaryIO is
    replica.go_on_from(snapshot, prelude.kept)


class Publisher:
    """Snapshots of one machine, as this member sends and reads them."""

    def __init__(self, db: Database, name: str) -> None:
        """Of the machine `name`."""
        self._db = db
        self._host = db.host
        self._name = name
        self._parts = db.local.tree(PARTS, key=tuple[str, bytes])

    def _file(self) -> IO[bytes]:
        return tempfile.TemporaryFile(dir=self._host.data_dir)

    async def save(self, replica: Replica, at_s: float) -> Saved:
        """Save a copy, which nobody changes meanwhile.

        Raises:
            SnapshotFailed: its `save` has, or there is no file for it.

        """
        try:
            file = self._file()
        except OSError as error:
            raise self._without_file(error) from error
        try:
            failure = await self._host.aside(lambda: _failure_of(save, replica, file))
            if failure is not None:
                raise SnapshotFailed(
                    f"the machine {self._name!r} cannot be saved: {in_words(failure)}"
                ) from failure
        except BaseException:
            file.close()
            raise
        return Saved(file, replica.applied_index, replica.digest, at_s, self._db.name)

    def _without_file(self, error: OSError) -> SnapshotFailed:
        text = f"there is no file for a snapshot of the machine {self._name!r}: {in_words(error)}"
        return SnapshotFailed(text)

    async def send(self, saved: Saved, tail: int) -> Snapshot | None:
        """Have it count, and remove commands that it has; None = another one is as new.

        Raises:
            SnapshotFailed: the file cannot be read.
            Refused: it is too large for the limits of the database.
            NotExecuted, OutcomeUnknown: it did not come through for PATIENCE_S.

        """
        nonce, checksum = self._db.unique(), blake2b(digest_size=CHECKSUM_BYTES)
        count = size = 0
        try:
            while part := saved.file.read(PART_BYTES):
                checksum.update(part)
                size += len(part)
                await self._surely(ops.MACHINE_PART, saved.index, nonce, count, part)
                count += 1
            snapshot = Snapshot(
                index=saved.index,
                nonce=nonce,
                parts=count,
                size_bytes=size,
                checksum=checksum.digest(),
                at_s=saved.at_s,
                member=saved.member,
                digest=saved.digest,
            )
            await self._surely(ops.MACHINE_KEEP, snapshot)
        except OSError as error:
            raise self._without_file(error) from error
        except Refused as refused:
            if refused.code != STALE:
                raise
            return None
        while await self._surely(ops.MACHINE_TRIM, tail):
            pass  # each removes some, and waits for a majority
        return snapshot

    async def _surely(self, operation: Operation[..., Any], *given: Any) -> Any:
        """Run what may run twice, until it is known to have run."""
        looks = Looks(self._host.clock_s, PATIENCE_S)
        while True:
            try:
                return await self._db.run(operation, self._name, *given)
            except (NotExecuted, OutcomeUnknown):
                self._host.check()
                if looks.is_over:
                    raise
                await looks.pause()

    async def load(self, replica: Replica, snapshot: Snapshot) -> bool:
        """Have a new copy go on from a snapshot; False = its parts are not here, or not it.

        Raises:
            SnapshotUnreadable: the machine's `load` has failed.

        """
        with self._file() as file:
            if not await self._read(snapshot, file):
                return False
            failure = await self._host.aside(lambda: _failure_of(load, replica, file, snapshot))
        if failure is not None:
            raise SnapshotUnreadable(
                f"the machine {self._name!r} cannot load the snapshot of command "
                f"{snapshot.index}: {in_words(failure)}"
            ) from failure
        return True

    async def _read(self, snapshot: Snapshot, file: IO[bytes]) -> bool:
        """Copy the parts to a file; whether they are what was sent."""
        checksum = blake2b(digest_size=CHECKSUM_BYTES)
        count = 0

        def at(part: int) -> tuple[str, bytes]:
            return part_key(self._name, snapshot.index, snapshot.nonce, part)

        while count < snapshot.parts:
            page = [
                it
                async for rows in self._parts.pages(
                    first=at(count), stop=at(snapshot.parts), limit=PARTS_READ
                )
                for it in rows
            ]
            for key, part in page:
                if key != at(count):
                    return False
                checksum.update(part)
                file.write(part)
                count += 1
            if not page:
                return False
            await asyncio.sleep(0)
        file.seek(0)
        return checksum.digest() == snapshot.checksum


def _failure_of(work: Callable[..., None], *given: Any) -> BaseException | None:
    """What a program's own code raises on a thread: not to be taken for what the member says."""
    try:
        work(*given)
    except KeyboardInterrupt:
        raise
    except PROGRAM_FAULTS as error:  # whatever it is, it is said
        return error
    return None
