"""A counter for asyncio, with one of everything that a face can have."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Self

from roost.faces import opening, translated


class Step:
    """One step of a counter; `await step.take()` takes it."""

    def __init__(self, counter: "Counter", size: int) -> None:
        self._counter = counter
        self.size_taken = size

    @property
    def size(self) -> int:
        """How far it goes."""
        return self.size_taken

    async def take(self) -> int:
        """Go."""
        return await self._counter.add(self.size_taken)


class Counter:
    """Counts."""

    @opening
    def __init__(self, start: int = 0, *, on_add: Callable[[int], None] | None = None) -> None:
        """Begin at `start`.

        Raises:
            ValueError: it is negative.

        """
        if start < 0:
            raise ValueError("it is negative")
        self.total = start
        self.ended: list[str] = []
        self.threads: set[str] = set()
        self._on_add = on_add

    async def __aenter__(self) -> Self:
        return self

    @translated
    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End."""
        self.ended.append("closed")

    async def add(self, size: int, /, *more: int, times: int = 1) -> int:
        """Add: `await counter.add(1)`."""
        self.threads.add(threading.current_thread().name)
        self.total += (size + sum(more)) * times
        if self._on_add is not None:
            self._on_add(self.total)
        return self.total

    async def wait(self) -> None:
        """Wait for ever."""
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.append("waited")

    async def up_to(self, stop: int) -> AsyncGenerator[int, None]:
        """Count on, one by one."""
        try:
            while self.total < stop:
                self.total += 1
                yield self.total
        finally:
            self.ended.append("counted")

    async def steps(self, *sizes: int) -> AsyncGenerator[Step, None]:
        """Steps that may be taken."""
        for size in sizes:
            yield Step(self, size)

    def step(self, size: int) -> Step:
        """A step that may be taken."""
        return Step(self, size)

    async def find(self, size: int) -> Step | None:
        """A step, unless it is none."""
        return Step(self, size) if size else None

    async def measure(self, step: Step, other: Step | None = None) -> int:
        """How far two steps go."""
        return step.size + (other.size if other is not None else 0)

    @translated
    async def twice(self, change: Callable[[int], Awaitable[int]]) -> int:
        """Run `change` twice, here."""
        first = await change(await self.add(0))
        async for number in self.up_to(first):
            await self.add(number)
        return await change(first)


async def open_counter(start: int) -> Counter:
    """Open one."""
    if start < 0:
        raise ValueError("it is negative")
    return Counter(start)
