"""What a figure is: a row of a table, with its name, its kind, what it means and how to read it.

Rooms export the rows of what they know; `server.figures` shows them all.  Nothing is counted here.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from roost.histogram import Histogram

Source = TypeVar("Source")
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
class Family:
    """A figure that has been read."""

    name: str
    kind: str
    text: str
    samples: Sequence[Sample]


def read_all(figures: Iterable[Figure[Source]], source: Source) -> list[Family]:
    """Every figure of a table, as of now."""
    return [Family(it.name, it.kind, it.text, it.samples(source)) for it in figures]
