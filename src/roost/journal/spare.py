"""The next segment's file, written with zeros ahead of time, in the background (J3).

A background thread that finds no room on the disk, or no file descriptor, says nothing: only when
the segment is needed is it tried again, after whoever keeps a reserve has given it up (`on_full`).
Descriptors for that are held here: to have none says nothing of the device.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from errno import ENOSPC
from pathlib import Path

from roost.descriptors import EXHAUSTED, HELD_COUNT, Held
from roost.journal import segment as segments
from roost.journal.disk import Disk
from roost.journal.identity import Identity
from roost.journal.segment import Segment


class Spare:
    """Makes files for segments."""

    def __init__(
        self,
        disk: Disk,
        path: Path,
        size_bytes: int,
        *,
        is_made_ahead: bool,
        wait_for_room: Callable[[], None] = lambda: None,
    ) -> None:
        """`path` is the file's name until it becomes a segment of `size_bytes`.

        `wait_for_room()` returns when what is being removed is gone.
        """
        self._disk = disk
        self.path = path
        self._size_bytes = size_bytes
        # A thread of its own: sixteen megabytes and their sync take longer than many a batch, and
        # neither the loop nor the thread that writes batches may wait for them.
        self._maker = ThreadPoolExecutor(1, "segments") if is_made_ahead else None
        self._coming: Future[None] | None = None
        self._wait_for_room = wait_for_room
        # Called when there is no room for a segment that is needed now.
        self.on_full: Callable[[], None] = lambda: None
        # What is not prepared for is a simulation, which needs none.
        self._held = Held(HELD_COUNT if is_made_ahead else 0)

    def prepare(self) -> None:
        """Begin to write the next one."""
        # The descriptors that the next file will need are taken while there are some.  A process
        # that has none left can still answer; it must not be the journal that goes without.
        self._held.hold()
        # One at a time: the next is begun when this one has become a segment.
        if self._maker is not None and not self._disk.exists(self.path):
            self._coming = self._maker.submit(
                segments.write_blank, self._disk, self.path, self._size_bytes
            )

    def install(self, segment: Segment, identity: Identity) -> None:
        """Turn a blank file into `segment`, durably.

        Raises:
            OSError: the device failed, or there is no room even without the reserve.

        """
        self._held.release()
        coming, self._coming = self._coming, None
        # Waiting here is right: the segment is needed now, and a second file beside the one that
        # is half made would take twice the room and be no sooner there.
        is_whole = coming is None or _is_made(coming)
        if segment.size != self._size_bytes or not is_whole or not self._disk.exists(self.path):
            self._make(segment.size)
        # Head and name last: until then it is a blank that any start throws away.
        segments.install(self._disk, self.path, segment, identity)

    def _make(self, size: int) -> None:
        """Write a blank file now, for which room is made if there is none.

        First what is being removed anyway has to be gone.  The reserve is given up once: if that is
        not enough, the next error is final.
        """
        for make_room in (self._wait_for_room, self.on_full):
            try:
                segments.write_blank(self._disk, self.path, size)
            except OSError as error:
                # Only "no space" is no failure of the device; nothing was promised on this file,
                # so what was written of it does no harm.
                if error.errno != ENOSPC:
                    raise
                make_room()
            else:
                return
        segments.write_blank(self._disk, self.path, size)

    def close(self) -> None:
        """Wait for what is being written."""
        self._held.release()
        if self._maker is not None:
            self._maker.shutdown(wait=True)


def _is_made(coming: Future[None]) -> bool:
    """Wait for a file; False when there was no room or no descriptor for it."""
    try:
        coming.result()
    except OSError as error:
        # An error of the device must not be swallowed because it happened in the background: what
        # it says of the device it says of the segments, too (J15).
        if error.errno not in (ENOSPC, *EXHAUSTED):
            raise
        return False
    return True
