"""The figures of what a program has on one member: operations, derived trees, observers."""

from collections.abc import Sequence
from dataclasses import dataclass

from roost.database.derived_status import DerivedStatus
from roost.database.embedded import Embedded
from roost.database.observing import ObservingFigures
from roost.database.runner import RunnerFigures
from roost.figures import Each, Figure


@dataclass(frozen=True, slots=True)
class DatabaseNow:
    """A member's database at one moment."""

    runner: RunnerFigures
    observing: ObservingFigures
    derived: Sequence[DerivedStatus]
    renewal_count: int
    applied_index: int


def now_of(embedded: Embedded) -> DatabaseNow:
    """Look at it."""
    return DatabaseNow(
        runner=embedded.runner.figures(),
        observing=embedded.observing.figures(),
        derived=embedded.deriving.statuses(),
        renewal_count=embedded.deriving.renewal_count,
        applied_index=embedded.member.store.applied_index,
    )


def _derived(now: DatabaseNow) -> Sequence[DerivedStatus]:
    return now.derived


_of_each = Each("tree", _derived)

FIGURES: tuple[Figure[DatabaseNow], ...] = (
    Figure(
        "roost_operations_total",
        "counter",
        "Operations of programs that ran here, while this member led.",
        lambda it: it.runner.run_count,
    ),
    Figure(
        "roost_operations_refused_total",
        "counter",
        "Those of them that said no, or were refused for what they wrote.",
        lambda it: it.runner.refused_count,
    ),
    Figure(
        "roost_operations_failed_total",
        "counter",
        "Those of them that raised something else.",
        lambda it: it.runner.failed_count,
    ),
    Figure(
        "roost_operations_slow_total",
        "counter",
        "Those of them that held this member up.",
        lambda it: it.runner.slow_count,
    ),
    Figure(
        "roost_observers",
        "gauge",
        "Who observes what changes on this member.",
        lambda it: it.observing.observer_count,
    ),
    Figure(
        "roost_observer_waiting_changes",
        "gauge",
        "Changes that are kept for observers that have not taken them.",
        lambda it: it.observing.waiting_count,
    ),
    Figure(
        "roost_observer_lag_entries",
        "gauge",
        "How many entries the slowest observer is behind.",
        lambda it: it.observing.lag_entries_most,
    ),
    Figure(
        "roost_observer_overruns_total",
        "counter",
        "Times that an observer was so slow that something was not told.",
        lambda it: it.observing.overrun_count,
    ),
    Figure(
        "roost_derived_share",
        "gauge",
        "How much of its source a derived tree has looked at while it is made anew; else 1.",
        _of_each(lambda _, it: it.share),
    ),
    Figure(
        "roost_derived_lag_entries",
        "gauge",
        "How many entries a derived tree is behind what is applied.",
        _of_each(lambda now, it: max(0, now.applied_index - it.index)),
    ),
    Figure(
        "roost_derived_waiting_keys",
        "gauge",
        "Keys of its source that a derived tree has yet to look at, one by one.",
        _of_each(lambda _, it: it.waiting_count),
    ),
    Figure(
        "roost_derived_has_failed",
        "gauge",
        "1 when a derived tree has ended, as its function raised or its store failed.",
        _of_each(lambda _, it: bool(it.error)),
    ),
    Figure(
        "roost_derived_builds_total",
        "counter",
        "Times that all of a derived tree was made.",
        _of_each(lambda _, it: it.built_count),
    ),
    Figure(
        "roost_derived_oversized_total",
        "counter",
        "Times that the function of a derived tree made more rows of one than it should.",
        _of_each(lambda _, it: it.oversized_count),
    ),
    Figure(
        "roost_derived_store_failures_total",
        "counter",
        "Times that the store of derived trees has failed, and was made anew.",
        lambda it: it.renewal_count,
    ),
)
