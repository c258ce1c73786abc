"""How far a long command is: one line on standard error, for whoever sits at a terminal.

    restoring m1.restored  [##########..........]  50 %  120.0 MiB of 240.0 MiB  0:07

Without a known end there is no bar, and without a count only the time.  Nothing is written when
standard error is no terminal, or when programs read what the command says (--json); in the end the
line is gone.  A thread writes it, so a call that says nothing until it is done is shown, too.
"""

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from roost.cli.shared import size_of

_BAR_WIDTH = 20
_LOOK_S = 0.2
_CLEAR = "\r\x1b[K"
Measure = Callable[[], int]


def counted(what: str) -> Callable[[int], str]:
    """A way to say how many of something there are."""
    return lambda count: f"{count:,} {what}"


def size_below(*places: Path) -> Measure:
    """How to see what a command has written: bytes of files, and of all files in folders."""

    def measure() -> int:
        files = [it for it in places if it.is_file()]
        for place in places:
            # What is moved or removed just now is passed by.
            for folder, _, names in os.walk(place):
                files += [Path(folder, name) for name in names]
        total = 0
        for path in files:
            with suppress(OSError):  # the same
                total += path.stat().st_size
        return total

    return measure


class Progress:
    """What is done of something; it may be told, or be measured when the line is written."""

    def __init__(
        self, label: str, total: int, say: Callable[[int], str], measure: Measure | None
    ) -> None:
        """Nothing is done; `total` 0 is unknown."""
        self.done = 0
        self.total = total
        self._label = label
        self._say = say
        self._measure = measure

    def add(self, count: int) -> None:
        """So much more is done."""
        self.done += count

    def note(self, done: int, total: int) -> None:
        """So much is done in all, of so much."""
        self.done, self.total = done, total

    def line(self, elapsed_s: float, width: int) -> str:
        """What is shown, at most `width` signs of it."""
        if self._measure is not None:
            self.done = self._measure()
        parts = [self._label]
        said = self._say(self.done)
        if self.total:
            part = min(1.0, self.done / self.total)
            filled = int(part * _BAR_WIDTH)
            parts.append(f"[{'#' * filled}{'.' * (_BAR_WIDTH - filled)}]")
            parts.append(f"{int(part * 100):3d} %")
            said = f"{said} of {self._say(self.total)}"
        if self.total or self.done:
            parts.append(said)
        minutes, seconds = divmod(int(elapsed_s), 60)
        parts.append(f"{minutes}:{seconds:02d}")
        return "  ".join(parts)[:width]


@contextmanager
def progress(
    label: str,
    *,
    as_json: bool,
    total: int = 0,
    say: Callable[[int], str] = size_of,
    measure: Measure | None = None,
) -> Iterator[Progress]:
    """Show how far it is while the block runs; `measure` is asked at each look, if there is one."""
    told = Progress(label, total, say, measure)
    if as_json or not sys.stderr.isatty():
        yield told
        return
    over = threading.Event()
    writer = threading.Thread(
        target=_write, args=(told, over, sys.stderr), name="roost-progress", daemon=True
    )
    writer.start()
    try:
        yield told
    finally:
        over.set()
        writer.join()
        sys.stderr.write(_CLEAR)
        sys.stderr.flush()


def _write(told: Progress, over: threading.Event, stream: TextIO) -> None:
    """Write the line at once and then a few times a second; a terminal that is gone ends that."""
    begin_s = time.monotonic()
    is_over = False
    while not is_over:
        # A line that reaches the last column may be wrapped by the terminal.
        width = _columns(stream) - 1
        try:
            stream.write(_CLEAR + told.line(time.monotonic() - begin_s, width))
            stream.flush()
        except (OSError, ValueError):
            return
        is_over = over.wait(_LOOK_S)


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return shutil.get_terminal_size().columns
