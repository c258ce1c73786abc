"""The end of the process, when nothing else may happen any more.

Last words go to a log that may lie on the very disk that failed, or into a pipe that nobody reads:
writing them may raise, or never return.  The end comes all the same (P3).  Where there is no memory
for the thread that sees to that, the kernel's alarm does.
"""

import logging
import os
import signal
import sys
import threading
from typing import NoReturn

logger = logging.getLogger("roost")
LAST_WORDS_S = 2
FIRST_PID = 1


def end_now(code: int, text: str, error: BaseException | None = None) -> NoReturn:
    """Say why, as far as that can be said, and end with an exit code."""
    try:
        try:
            end_within(LAST_WORDS_S, code)
        except (RuntimeError, MemoryError):
            signal.alarm(LAST_WORDS_S)
        logger.critical(text, exc_info=error)
        sys.stderr.flush()
    finally:
        os._exit(code)


def end_within(limit_s: float, code: int, text: str = "") -> None:
    """End after so long, whatever a device, a thread or a task of ours waits for until then."""

    def end() -> None:
        if text:
            end_now(code, text)
        os._exit(code)

    backstop = threading.Timer(limit_s, end)
    backstop.daemon = True
    backstop.start()


def end_when_told() -> None:
    """Have SIGTERM end this process, as it does others, when it is the first of a container.

    The kernel keeps from such a one what it has no handler for, until it has.
    """
    if os.getpid() == FIRST_PID:
        signal.signal(signal.SIGTERM, lambda number, _frame: os._exit(128 + number))
