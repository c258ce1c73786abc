"""What a figure is: a row of a table, with its name, its kind, what it means and how to read it.

Rooms export the rows of what they know; `server.figures` shows them all.  Nothing is counted here.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from roost.histogram import Histogram


class Named(Protocol):
    """What is told apart by its name."""

    @property
    def name(self) -> str:
        """Its name."""


Source = TypeVar("Source")
Thing = TypeVar("Thing", bound=Named)
Value = int | float | Histogram
# Names and values of a sample's labels -> its value.
Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """One value, and what it is of."""

    value: Value
    labels: Labels = ()


@dataclass(frozen=True, slots=True)
class Figure(Generic[Source]):
    """A row; `read` gives one number, or samples where there are labels or buckets."""

    name: str
    kind: str  # gauge, counter or histogram
    text: str
    read: Callable[[Source], Value | Iterable[Sample]]

    def samples(self, source: Source) -> Sequence[Sample]:
        """All values as of now."""
        found = self.read(source)
        return [Sample(found)] if isinstance(found, Value) else list(found)


@dataclass(frozen=True, slots=True)
class Each(Generic[Source, Thing]):
    """How a figure is read of each of several things: a sample a thing, labelled by its name."""

    label: str
    things: Callable[[Source], Iterable[Thing]]

    def __call__(
        self, read: Callable[[Source, Thing], Value]
    ) -> Callable[[Source], Iterator[Sample]]:
        """What reads `read(source, thing)` of each."""

        def samples(source: Source) -> Iterator[Sample]:
            for it in self.things(source):
                yield Sample(read(source, it), ((self.label, it.name),))

        return samples


@dataclass(frozen=True, slots=True)
class Family:
    """A figure that has been read."""

    name: str
    kind: str
    text: str
    samples: Sequence[Sample]


def read_all(figures: Iterable[Figure[Source]], source: Source) -> list[Family]:
    """Every figure of a table, as of now."""
    return [Family(it.name, it.kind, it.text, it.samples(source)) for it in figures]
