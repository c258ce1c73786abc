"""Removes the files of segments that no manifest names any more, in the background.

To free the pages and blocks of sixteen megabytes takes the kernel four milliseconds (ext4, measured
2026-11-28), and many segments go at once where much is put: the loop has other use for the time.  A
crash in between leaves files that the next start puts aside, as one before the first of them would.

Full?  What waits are segments that the journal had, and it makes no new ones faster than a disk
takes them; each is a descriptor that stays open so long.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from roost.journal.disk import Disk
from roost.journal.segment import Segment


class Discards:
    """Those that are being removed; `error` is what went wrong, of which nobody was told yet."""

    def __init__(self, disk: Disk, *, is_in_background: bool) -> None:
        """None is."""
        self._disk = disk
        self._remover = ThreadPoolExecutor(1, "discards") if is_in_background else None
        # The newest; with one thread it is over when all are.
        self._going: Future[None] | None = None
        self.error: Exception | None = None

    def take(self, dropped: Sequence[Segment]) -> None:
        """Remove these, which no manifest names.

        Raises:
            OSError: the device failed, where nothing is done in the background.

        """
        if self._remover is None:
            self._remove(dropped)
        else:
            self._going = self._remover.submit(self._remove_and_note, dropped)

    def wait(self) -> None:
        """Return when none is left, or `error` says why some are."""
        if self._going is not None:
            self._going.result()

    def close(self) -> None:
        """As `wait`; none will come."""
        if self._remover is not None:
            self._remover.shutdown(wait=True)

    def _remove_and_note(self, dropped: Sequence[Segment]) -> None:
        try:
            self._remove(dropped)
        except Exception as error:  # noqa: BLE001 - the journal says so, whatever it is
            self.error = error

    def _remove(self, dropped: Sequence[Segment]) -> None:
        for segment in dropped:
            # One that has no file was placed in memory and never written.
            if segment.file is not None:
                segment.file.close()
                self._disk.unlink(segment.path)
        # The directory is not synced: only one is told of an error of that, and it has to be who
        # makes a segment.  A name that comes back after a crash is put aside.
