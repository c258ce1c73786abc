"""Subqueries, `max_over_time(rate(x[1m])[1h:5m])`: a plan at steps of its own, then its windows.

The steps of a subquery are the multiples of its width that lie in the windows of the query's steps,
as Prometheus has them, so a graph that moves on does not flicker.  What the plan comes to there is
a vector, whose numbers are then points like others: functions leave out NaN here, too.

A subquery in another one has steps of its own again.  All their cells are taken from the same
budget, and what has none is refused by name before anything is made.
"""

from collections.abc import Mapping

from roost.series.engine import Engine
from roost.series.extra import Ints, np
from roost.series.prometheus.evaluating import evaluated
from roost.series.prometheus.functions import Value
from roost.series.prometheus.loading import ASIDE_CELLS, Budget, Loading, named
from roost.series.prometheus.plan import Leaf, Plan, Source, Subquery, is_scalar, sources_of
from roost.series.prometheus.ranges import Windows, over, windows_of
from roost.series.prometheus.vectors import Vector, empty
from roost.series.tables import points


async def value_of(plan: Plan, engine: Engine, steps: Ints, budget: Budget) -> Value:
    """What a plan comes to at steps.

    Raises:
        BadQuery, NotInSubset, QueryFailed, QueryTooLarge, QueryTimeout: it has no value.
        RoostError: as `Engine.reading`.

    """
    loading = Loading(engine, steps, budget)
    sources: dict[Source, Vector] = {}
    for it in dict.fromkeys(sources_of(plan)):
        if isinstance(it, Leaf):
            sources[it] = await loading.vector(it)
        else:
            sources[it] = await _vector(it, engine, steps, budget)
    if not is_scalar(plan):
        budget.take_cells(len(steps))
    return await _computed(plan, engine, steps, budget, sources)


async def _computed(
    plan: Plan, engine: Engine, steps: Ints, budget: Budget, sources: Mapping[Source, Vector]
) -> Value:
    def compute() -> Value:
        return evaluated(plan, steps, sources, budget.look)

    cells = sum(it.values.size for it in sources.values()) + len(steps)
    return compute() if cells <= ASIDE_CELLS else await engine.aside(compute)


async def _vector(given: Subquery, engine: Engine, steps: Ints, budget: Budget) -> Vector:
    """What a function makes of the windows of a subquery."""
    moments = steps if given.at_ns is None else np.array([given.at_ns], np.int64)
    windows = windows_of(moments, given.range_ns, given.offset_ns)
    inner = _inner_steps(windows, given.step_ns, budget)
    if not len(inner):
        return empty(len(steps))
    held = await value_of(given.of, engine, inner, budget)
    assert isinstance(held, Vector), "the parser asks for a vector"
    budget.take_cells(len(held) * len(steps))

    def compute() -> Vector:
        shape = len(held), len(moments)
        values, is_there = np.full(shape, np.nan), np.zeros(shape, np.bool_)
        for place in range(len(held)):
            there = held.is_there[place]
            table = points(inner[there], held.values[place][there])
            values[place], is_there[place] = over(given.function, table, windows, given.parameter)
            budget.look()
        found = Vector(held.labels, values, is_there)
        return named(given.function, found if given.at_ns is None else found.at_all(steps))

    cells = held.values.size + len(held) * len(steps)
    return compute() if cells <= ASIDE_CELLS else await engine.aside(compute)


def _inner_steps(windows: Windows, step_ns: int, budget: Budget) -> Ints:
    """The multiples of a width that lie in windows."""
    first = int(windows.starts[0]) // step_ns * step_ns + step_ns
    last = int(windows.stops[-1])
    budget.take_cells(max(0, (last - first) // step_ns + 1))
    return np.arange(first, last + 1, step_ns, dtype=np.int64)
