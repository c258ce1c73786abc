"""Aggregations of PromQL: series with some labels in common as one, at each step.

Series are put beside each other by their groups, and each group's rows are reduced as one block.
Numbers that are not there are put where they do no harm: zeros in sums, NaN in extremes, which look
past NaN where there is a number.
"""

from collections.abc import Callable

from roost.series.extra import Floats, Ints, Mask, np
from roost.series.prometheus.errors import NotInSubset
from roost.series.prometheus.plan import NAME, Aggregate
from roost.series.prometheus.vectors import Groups, Labels, Vector, grouped, only, outside, without


def _key(plan: Aggregate) -> Callable[[Labels], Labels]:
    if plan.is_without:
        gone = (*plan.labels, NAME)
        return lambda it: without(it, gone)
    return lambda it: only(it, plan.labels)


def aggregated(plan: Aggregate, vector: Vector, parameter: Floats | None) -> Vector:
    """What comes of a vector; `parameter` has a number for each step, where there is one.

    Raises:
        NotInSubset: there is no such aggregation here.

    """
    if not len(vector):
        return vector
    groups = grouped(vector.labels, _key(plan))
    if plan.name in ("topk", "bottomk"):
        assert parameter is not None, "the parser asks for it"
        return _top(vector, groups, parameter, is_least=plan.name == "bottomk")
    values, is_there = vector.values[groups.order], vector.is_there[groups.order]
    counts = np.add.reduceat(is_there, groups.begins, axis=0, dtype=np.int64)
    with np.errstate(all="ignore"):
        found = _reduced(plan, parameter, groups, values, is_there, counts)
    return Vector(groups.labels, found, counts > 0)


def _reduced(
    plan: Aggregate,
    parameter: Floats | None,
    groups: Groups,
    values: Floats,
    is_there: Mask,
    counts: Ints,
) -> Floats:
    begins = groups.begins
    match plan.name:
        case "count":
            return counts.astype(np.float64)
        case "group":
            return np.ones(counts.shape)
        case "min" | "max":
            how = np.fmin if plan.name == "min" else np.fmax
            extreme: Floats = how.reduceat(np.where(is_there, values, np.nan), begins, axis=0)
            return extreme
        case "sum" | "avg" | "stddev" | "stdvar":
            sums: Floats = np.add.reduceat(np.where(is_there, values, 0.0), begins, axis=0)
            if plan.name == "sum":
                return sums
            means = sums / counts
            return means if plan.name == "avg" else _spread(plan, groups, values, is_there, means)
        case "quantile":
            assert parameter is not None, "the parser asks for it"
            return _quantiles(parameter, groups, values, is_there, counts)
    raise NotInSubset(f"the aggregation {plan.name} is not answered here")


def _spread(
    plan: Aggregate, groups: Groups, values: Floats, is_there: Mask, means: Floats
) -> Floats:
    distances = values - means[groups.places[groups.order]]
    squares = np.where(is_there, distances * distances, 0.0)
    counts = np.add.reduceat(is_there, groups.begins, axis=0, dtype=np.int64)
    variances: Floats = np.add.reduceat(squares, groups.begins, axis=0) / counts
    return variances if plan.name == "stdvar" else np.sqrt(variances)


def _quantiles(
    shares: Floats, groups: Groups, values: Floats, is_there: Mask, counts: Ints
) -> Floats:
    """Between two numbers in proportion; NaN stands before all numbers."""
    found = np.full(counts.shape, np.nan)
    ends = np.append(groups.begins[1:], len(values))
    for place, (begin, end) in enumerate(zip(groups.begins.tolist(), ends.tolist(), strict=True)):
        held, there = values[begin:end], is_there[begin:end]
        order = np.lexsort((held, ~np.isnan(held), ~there), axis=0)
        ordered = np.take_along_axis(held, order, axis=0)
        count = counts[place]
        ranks = np.clip(shares, 0, 1) * np.maximum(count - 1, 0)
        low = np.floor(np.nan_to_num(ranks)).astype(np.int64)
        high = np.minimum(low + 1, np.maximum(count - 1, 0))
        weights = ranks - low
        columns = np.arange(held.shape[1])
        found[place] = ordered[low, columns] * (1 - weights) + ordered[high, columns] * weights
    return outside(shares, found)


def _top(vector: Vector, groups: Groups, counts: Floats, *, is_least: bool) -> Vector:
    """At each step the largest numbers, or the least, of each group; NaN comes last."""
    wanted = np.clip(np.nan_to_num(counts), 0, len(vector)).astype(np.int64)
    is_kept = np.zeros(vector.is_there.shape, np.bool_)
    ends = np.append(groups.begins[1:], len(vector))
    for begin, end in zip(groups.begins.tolist(), ends.tolist(), strict=True):
        rows = groups.order[begin:end]
        held = vector.values[rows] if is_least else -vector.values[rows]
        order = np.lexsort((held, np.isnan(held), ~vector.is_there[rows]), axis=0)
        ranks = np.empty_like(order)
        np.put_along_axis(ranks, order, np.arange(len(rows))[:, None], axis=0)
        is_kept[rows] = ranks < wanted
    return Vector(vector.labels, vector.values, vector.is_there & is_kept)
