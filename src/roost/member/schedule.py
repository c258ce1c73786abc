"""Backups by the clock: a full one every so often, the newest ones kept.

Each member that is told to does it for itself, so that one lost machine does not cost the
backups, too.  A file is named after the member and the entry it ends at, and appears under its
name only when it is whole.  A backup that fails is said so, and tried again the next time.
"""

import asyncio
import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

from roost.errors import RoostError
from roost.member.backup import Backup, read_backup, write_full
from roost.member.files import Files

logger = logging.getLogger(__name__)
_READ_BYTES = 1 << 20


class BackupSchedule:
    """Saves a member's store into a directory."""

    def __init__(
        self, files: Files, directory: Path, *, name: str, interval_s: float, keep_count: int
    ) -> None:
        """`name` begins every file's name; at most `keep_count` files of it stay."""
        assert interval_s > 0, "the settings say so"
        assert keep_count > 0, "the settings say so"
        self._files = files
        self._directory = directory
        self._name = name
        self._interval_s = interval_s
        self._keep_count = keep_count

    async def run(self) -> None:
        """Save one backup after another, until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                saved = await self.save()
            except (RoostError, OSError) as error:
                logger.error("no backup this time: %s", error)  # noqa: TRY400 - said in a line
            else:
                logger.info("backup %s, %d bytes", saved.path.name, saved.size_bytes)

    async def save(self) -> Backup:
        """Save one backup now, and remove the oldest ones.

        Raises:
            RoostError, OSError: it could not be made or written.

        """
        async with self._files.lend_snapshot() as copy:
            return await asyncio.to_thread(self._write, copy)

    def _write(self, copy: Path) -> Backup:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        coming = self._directory / f"{self._name}-coming.db"
        saved = write_full(coming, _with_digest(copy))
        final = coming.with_name(f"{self._name}-{saved.index:016x}.db")
        coming.rename(final)
        for old in sorted(self._directory.glob(f"{self._name}-*.db"))[: -self._keep_count]:
            old.unlink()
        return read_backup(final)


def _with_digest(copy: Path) -> Iterator[bytes]:
    digest = hashlib.sha256()
    with copy.open("rb") as file:
        while blob := file.read(_READ_BYTES):
            digest.update(blob)
            yield blob
    yield digest.digest()
