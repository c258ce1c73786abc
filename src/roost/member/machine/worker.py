"""A thread that does one thing after another: what writes large batches, and all on a slow disk.

Many batches go through it then, so it costs little: a queue that waits in C, and one wake-up of
the loop for each answer.  A pool of one thread, with a future for each, is a dozen locks and some
thirty calls more.
"""

import asyncio
import weakref
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Protocol, TypeVar

Result = TypeVar("Result")
_Work = Callable[[], None]


class Worker(Protocol):
    """Does what it is given in order, and says on the loop what came of it."""

    def submit(
        self,
        call: Callable[[], Result],
        answer: Callable[[Result], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        """Do it when everything before it is done; `fail` is told what it raises instead."""

    def shutdown(self) -> None:
        """No more will come; what was asked for is done and answered."""


class OneThread:
    """A thread of its own, which ends after `shutdown`, or when nobody has this any more.

    Full?  Whoever asks bounds what waits; see `Persistence`.
    """

    def __init__(self) -> None:
        """Begin to wait; it answers on the loop that it is first asked on."""
        self._asked = asked = SimpleQueue[_Work | None]()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end = weakref.finalize(self, asked.put, None)
        # A process that must end does not wait for a disk that hangs.
        Thread(target=_work_on, args=(asked,), name="journal", daemon=True).start()

    def submit(
        self,
        call: Callable[[], Result],
        answer: Callable[[Result], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        """Do it when everything before it is done."""
        # Asking for the running loop is a call of the system before Python 3.13.
        loop = self._loop = self._loop or asyncio.get_running_loop()

        def work() -> None:
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 - whatever it is, who asked has to know
                with suppress(RuntimeError):  # the loop has ended, with whoever asked
                    loop.call_soon_threadsafe(fail, error)
            else:
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(answer, result)

        self._asked.put(work)

    def shutdown(self) -> None:
        """End the thread when it has done what it was asked."""
        self._end()


def _work_on(asked: SimpleQueue[_Work | None]) -> None:
    while (work := asked.get()) is not None:
        work()
        del work  # what it holds is not kept until the next comes
