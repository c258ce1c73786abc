"""An asyncio event loop whose clock stands still until there is nothing to do, and then jumps.

Nothing waits in real time, and the same calls give the same run.  Real sockets and threads have
no place on it: a loop that has neither timers nor work is a deadlock, and says so.  What does have
a place are `Waitable`s, known to `add_reader` and `add_writer` by numbers that no real descriptor
has; whoever can be read or written says so by `note`.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, NoReturn, Protocol, TypeVar

Result = TypeVar("Result")

# What a turn of the loop takes at least, so that whoever looks again and again sees time pass.
TURN_S = 1e-6
FIRST_DESCRIPTOR = 1 << 20


class DeadlockError(Exception):
    """Nothing will ever happen again on this loop."""


class Waitable(Protocol):
    """Something that can be waited for."""

    def events(self) -> int:
        """EVENT_READ and EVENT_WRITE, as far as it is ready."""


class _Jumper(selectors.SelectSelector):
    """A selector of `Waitable`s that lets time pass when none is ready."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.waitables: dict[int, Waitable] = {}
        # Whose readiness may have changed, in the order in which it did: never a set, whose order
        # would be chance.
        self.news: dict[int, None] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Wait for it; it may be ready already."""
        key = super().register(fileobj, events, data)
        self.news[key.fd] = None
        return key

    def select(self, timeout: float | None = None) -> list[Any]:
        """Who is ready now; else let time pass."""
        ready = self.ready() if self.news else []
        if ready:
            timeout = 0.0
        elif timeout is None:
            raise DeadlockError("no timer is set and nothing is ready")
        self.now_s += max(TURN_S, timeout)
        return ready

    def ready(self) -> list[Any]:
        """Who is ready, and for what."""
        found = []
        # What `get_map` wraps, whose look-ups cost more than all else here.
        keys: dict[int, selectors.SelectorKey]
        keys = self._fd_to_key  # type: ignore[attr-defined]  # the base class's own
        for descriptor in list(self.news):
            waitable, key = self.waitables.get(descriptor), keys.get(descriptor)
            events = key.events & waitable.events() if waitable and key else 0
            if events:
                found.append((key, events))  # looked at again in the next turn
            else:
                del self.news[descriptor]
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop; `time` is in virtual seconds since it was made."""

    def __init__(self) -> None:
        """Begin at 0."""
        self._jumper = _Jumper()
        self._next_descriptor = FIRST_DESCRIPTOR
        super().__init__(self._jumper)

    def time(self) -> float:
        """Virtual seconds."""
        return self._jumper.now_s

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to be done now; timers may be set."""
        return not self._ready and not self._jumper.ready()  # type: ignore[attr-defined]  # asyncio's own

    def attach(self, waitable: Waitable) -> int:
        """Give it a number."""
        self._next_descriptor += 1
        self._jumper.waitables[self._next_descriptor] = waitable
        return self._next_descriptor

    def note(self, descriptor: int) -> None:
        """It may be ready."""
        self._jumper.news[descriptor] = None

    def detach(self, descriptor: int) -> None:
        """It is gone; whoever still waits for it will wait for ever."""
        self._jumper.waitables.pop(descriptor, None)

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


def virtual_loop() -> VirtualLoop:
    """The loop that runs, which must be a virtual one."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop), "only virtual time has simulated machines"
    return loop
