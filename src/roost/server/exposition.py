"""Figures as Prometheus reads them (text format 0.0.4), and as one JSON object.

Whole numbers are written as whole numbers.

A page has a thousand lines and more, which are made in parts, over turns of the loop (D14).  Who
asks while one is made is told by the next one, with all others who do: nobody is told what was
before he asked, and fifty that ask at once cost what two do.
"""

import asyncio
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import chain

from prometheus_client import ProcessCollector

from roost.figures import Family, Labels, Sample
from roost.histogram import Histogram
from roost.slices import in_turns

# Of a page in a turn.
LINES_A_TURN = 100
_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def process_families() -> Iterator[Family]:
    """What the operating system says of this process."""
    for metric in ProcessCollector(registry=None).collect():
        for sample in metric.samples:
            yield Family(sample.name, metric.type, metric.documentation, [Sample(sample.value)])


class TextPage:
    """The page that Prometheus reads."""

    def __init__(self, collect: Callable[[], Iterable[Family]]) -> None:
        """`collect()` says all figures of the member as of now."""
        self._collect = collect
        self._lock = asyncio.Lock()
        self._begun_count = 0
        # The last page, and which one it was.
        self._text, self._number = "", 0

    async def read(self) -> str:
        """All figures, none of which is older than the question."""
        asked = self._begun_count
        async with self._lock:
            if self._number <= asked:
                self._begun_count += 1
                number = self._begun_count
                self._text = await in_turns(self._made())
                self._number = number
            return self._text

    def _made(self) -> Generator[None, None, str]:
        # Tables of figures are read as they are written, so that no step reads all.
        return as_text(chain(self._collect(), process_families()))


def as_text(families: Iterable[Family]) -> Generator[None, None, str]:
    """The page that Prometheus reads, in steps; what is said of one histogram is of one moment."""
    lines: list[str] = []
    due = LINES_A_TURN
    for family in families:
        lines += (f"# HELP {family.name} {family.text}", f"# TYPE {family.name} {family.kind}")
        for sample in family.samples:
            lines += _lines(family.name, sample)
            if len(lines) >= due:
                due = len(lines) + LINES_A_TURN
                yield
    lines.append("")
    return "\n".join(lines)


def as_json(families: Iterable[Family]) -> dict[str, int | float]:
    """What has neither labels nor buckets, by name."""
    return {
        family.name: _number(sample.value)
        for family in families
        for sample in family.samples
        if not sample.labels and not isinstance(sample.value, Histogram)
    }


def _lines(name: str, sample: Sample) -> Iterator[str]:
    labels = tuple(sorted(sample.labels))  # as Go's library has them
    if isinstance(sample.value, Histogram):
        yield from _buckets(name, labels, sample.value)
    else:
        yield _line(name, labels, sample.value)


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
