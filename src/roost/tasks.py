"""Tasks with an owner, who hears of their errors and ends them all.

A task that nobody owns may die in silence, be collected while it waits, and outlive whoever
started it.  So nothing in Roost calls `create_task` but `Tasks.start`, and whoever has a `Tasks`
closes it.

`close` cancels again and again: a task may miss a cancellation, because something it called took
it for an answer (`asyncio.wait_for` did, until Python 3.12) or ended with an error of its own.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

logger = logging.getLogger(__name__)
Result = TypeVar("Result")
# How long a task may take to end before it is cancelled again.
_AGAIN_S = 0.5


class Tasks:
    """What one owner has running; `on_error(error)` is told what a task ended with.

    Without it an error goes to the handler of the event loop, which says it in the log.
    """

    def __init__(self, on_error: Callable[[BaseException], None] | None = None) -> None:
        """Nothing runs."""
        self._on_error = on_error
        # In the order in which they were started, so that they are ended in that order.
        self._running: dict[asyncio.Task[Any], None] = {}  # of any result

    def __len__(self) -> int:
        """How many run; zero when idle."""
        return len(self._running)

    def start(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Run `work` until it is over, or `close` ends it."""
        task = asyncio.get_running_loop().create_task(work)
        self._running[task] = None
        task.add_done_callback(self._on_done)
        return task

    def _on_done(self, task: asyncio.Task[Any]) -> None:
        self._running.pop(task, None)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if self._on_error is not None:
            self._on_error(error)
        else:
            said = {"message": f"{task.get_coro()} failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(said)

    def cancel(self) -> None:
        """Ask all of them to end, without waiting for the end."""
        for task in list(self._running):
            task.cancel()

    async def close(self) -> None:
        """End all of them."""
        while self._running:
            self.cancel()
            _, missed = await asyncio.wait(list(self._running), timeout=_AGAIN_S)
            for task in missed:
                logger.warning("%s does not end, and is cancelled again", task.get_coro())
