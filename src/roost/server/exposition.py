"""Figures as Prometheus reads them (text format 0.0.4), and as one JSON object.

Whole numbers are written as whole numbers.
"""

from collections.abc import Iterable, Iterator

from prometheus_client import ProcessCollector

from roost.figures import Family, Labels, Sample
from roost.histogram import Histogram

_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


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
