"""Figures as Prometheus reads them (text format 0.0.4), and as one JSON object.

A figure is a row of a table: its name, its kind, what it means, and how to read it from whatever
the table is about.  Nothing is counted here.  Whole numbers are written as whole numbers.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from prometheus_client import ProcessCollector

from roost.histogram import Histogram

Source = TypeVar("Source")
Value = int | float | Histogram
# Names and values of a sample's labels -> its value.
Labels = tuple[tuple[str, str], ...]
_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


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


def process_families() -> Iterator[Family]:
    """What the operating system says of this process."""
    for metric in ProcessCollector(registry=None).collect():
        for sample in metric.samples:
            yield Family(sample.name, metric.type, metric.documentation, [Sample(sample.value)])


def as_text(families: Iterable[Family]) -> str:
    """The page that Prometheus reads."""
    return "".join(f"{line}\n" for family in families for line in _lines(family))


def as_json(families: Iterable[Family]) -> dict[str, int | float]:
    """What has neither labels nor buckets, by name."""
    return {
        family.name: _number(sample.value)
        for family in families
        for sample in family.samples
        if not sample.labels and not isinstance(sample.value, Histogram)
    }


def _lines(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {family.text}"
    yield f"# TYPE {family.name} {family.kind}"
    for sample in family.samples:
        labels = tuple(sorted(sample.labels))  # as Go's library has them
        if isinstance(sample.value, Histogram):
            yield from _buckets(family.name, labels, sample.value)
        else:
            yield _line(family.name, labels, sample.value)


def _buckets(name: str, labels: Labels, held: Histogram) -> Iterator[str]:
    count = 0
    for bound, count in held.buckets():
        yield _line(f"{name}_bucket", (*labels, ("le", bound)), count)
    yield _line(f"{name}_sum", labels, held.sum_s)
    yield _line(f"{name}_count", labels, count)


def _line(name: str, labels: Labels, value: float) -> str:
    said = ",".join(f'{label}="{text.translate(_ESCAPED)}"' for label, text in labels)
    return f"{name}{{{said}}} {_number(value)}" if said else f"{name} {_number(value)}"


def _number(value: float) -> int | float:
    return int(value) if isinstance(value, bool) or value == value // 1 else value
