"""A counter that blocks, with one of everything that a face can have."""

# Made by roost.faces.writer of the room `aio`; do not edit: `make faces`.

from collections.abc import Callable, Generator
from typing import Self

from roost.faces import Face, LoopThread
from tests.faces.example.aio import counting as aio


class Step(Face):
    """One step of a counter; `step.take()` takes it."""

    _inner: aio.Step

    @property
    def size(self) -> int:
        """How far it goes."""
        return self._inner.size

    def take(self) -> int:
        """Go."""
        return self._loop.call(self._inner.take())


class Counter(Face):
    """Counts."""

    _inner: aio.Counter

    def __init__(self, start: int = 0, *, on_add: Callable[[int], None] | None = None) -> None:
        """Begin at `start`.

        Raises:
            ValueError: it is negative.

        """
        self._loop = LoopThread("roost-counter")
        self._inner = aio.Counter(
            start, on_add=None if on_add is None else self._loop.calling(on_add)
        )
        self._owns_loop = True

    def __enter__(self) -> Self:
        self._loop.call(self._inner.__aenter__())
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End."""
        self._close(self._inner.close())

    def add(self, size: int, /, *more: int, times: int = 1) -> int:
        """Add: `counter.add(1)`."""
        return self._loop.call(self._inner.add(size, *more, times=times))

    def wait(self) -> None:
        """Wait for ever."""
        self._loop.call(self._inner.wait())

    def up_to(self, stop: int) -> Generator[int, None, None]:
        """Count on, one by one."""
        return self._loop.iterate(self._inner.up_to(stop))

    def steps(self, *sizes: int) -> Generator[Step, None, None]:
        """Steps that may be taken."""
        for it in self._loop.iterate(self._inner.steps(*sizes)):
            yield Step._of(it, self._loop)

    def step(self, size: int) -> Step:
        """A step that may be taken."""
        return Step._of(self._inner.step(size), self._loop)

    def find(self, size: int) -> Step | None:
        """A step, unless it is none."""
        return Step._of_any(self._loop.call(self._inner.find(size)), self._loop)

    def measure(self, step: Step, other: Step | None = None) -> int:
        """How far two steps go."""
        return self._loop.call(
            self._inner.measure(step._inner, None if other is None else other._inner)
        )

    def twice(self, change: Callable[[int], int]) -> int:
        """Run `change` twice, here."""
        first = change(self.add(0))
        for number in self.up_to(first):
            self.add(number)
        return change(first)


def open_counter(start: int) -> Counter:
    """Open one."""
    loop = LoopThread("roost-counter")
    try:
        inner = loop.call(aio.open_counter(start))
    except BaseException:
        loop.close()
        raise
    return Counter._owning(inner, loop)
