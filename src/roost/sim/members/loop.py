"""An asyncio event loop whose clock stands still until there is nothing to do, and then jumps.

Nothing waits in real time, and the same calls give the same run.  Sockets and threads have no
place on it: a loop that has neither timers nor work is a deadlock, and says so.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

Result = TypeVar("Result")

# What a turn of the loop takes at least, so that whoever looks again and again sees time pass.
TURN_S = 1e-6


class DeadlockError(Exception):
    """Nothing will ever happen again on this loop."""


class _Jumper(selectors.SelectSelector):
    """A selector that finds nothing ready, and lets time pass instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise DeadlockError("no timer is set and nothing is ready")
        self.now_s += max(TURN_S, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop; `time` is in virtual seconds since it was made."""

    def __init__(self) -> None:
        """Begin at 0."""
        self._jumper = _Jumper()
        super().__init__(self._jumper)

    def time(self) -> float:
        """Virtual seconds."""
        return self._jumper.now_s

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to be done now; timers may be set."""
        return not self._ready  # type: ignore[attr-defined]  # asyncio's own

    def run_in_executor(self, *_: object) -> NoReturn:
        """Threads run in real time, and this loop would not wait for them."""
        raise NotImplementedError("a thread has no place in virtual time")


def run_virtually(work: Coroutine[Any, Any, Result]) -> Result:
    """Do `work` in virtual time, on a loop of its own.

    Raises:
        ExceptionGroup: something went wrong beside it, where nobody waited for it.

    """
    failures: list[Exception] = []

    def note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        loop.default_exception_handler(context)
        failures.append(context.get("exception") or RuntimeError(context["message"]))

    async def watched() -> Result:
        asyncio.get_running_loop().set_exception_handler(note)
        return await work

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        result = runner.run(watched())
    if failures:
        raise ExceptionGroup("beside what was waited for", failures)
    return result


async def pass_time(seconds: float) -> None:
    """Let virtual time pass; nobody waits for it."""
    assert isinstance(asyncio.get_running_loop(), VirtualLoop), "somebody would wait"
    await asyncio.sleep(seconds)


async def until_idle() -> None:
    """Return when everybody else waits for a timer or for something from outside."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop), "a real one does not know what is on its way"
    while not loop.is_idle:
        await asyncio.sleep(0)
