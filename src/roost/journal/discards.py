"""Removes the files of segments that no manifest names any more, in the background.

To free the pages and blocks of sixteen megabytes takes the kernel four milliseconds (ext4, measured
2026-11-28), and many segments go at once where much is put: the loop has other use for the time.  A
crash in between leaves files that the next start puts aside, as one before the first of them would.

Full?  What waits are segments that the journal had, and it makes no new ones faster than a disk
takes them; each is a descriptor that stays open so long.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from roost.journal.disk import Disk
from roost.journal.segment import Segment


class Discards:
    """Those that are being removed."""

    def __init__(self, disk: Disk, directory: Path, *, is_in_background: bool) -> None:
        """None is; `directory` is where all of them lie."""
        self._disk = disk
        self._directory = directory
        self._remover = ThreadPoolExecutor(1, "discards") if is_in_background else None
        # The newest; with one thread it is over when all are.
        self._going: Future[None] | None = None
        self._error: OSError | None = None

    def take(self, dropped: Sequence[Segment]) -> None:
        """Remove these, which no manifest names.

        Raises:
            OSError: the device failed, here or at those before.

        """
        if self._error is not None:
            raise self._error
        if self._remover is None:
            self._remove(dropped)
        else:
            self._going = self._remover.submit(self._remove_and_note, dropped)

    def wait(self) -> None:
        """Return when none is left.

        Raises:
            OSError: the device failed.

        """
        if self._going is not None:
            self._going.result()
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Wait for what is being removed; an error is nothing to whoever writes no more."""
        if self._remover is not None:
            self._remover.shutdown(wait=True)

    def _remove_and_note(self, dropped: Sequence[Segment]) -> None:
        try:
            self._remove(dropped)
        except OSError as error:
            self._error = error

    def _remove(self, dropped: Sequence[Segment]) -> None:
        for segment in dropped:
            # One that has no file was placed in memory and never written.
            if segment.file is not None:
                segment.file.close()
                self._disk.unlink(segment.path)
        self._disk.sync_directory(self._directory)
