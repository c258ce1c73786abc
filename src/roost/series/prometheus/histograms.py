"""Quantiles of histograms whose buckets are series, each with its upper bound in the label `le`.

A bucket counts what is not above its bound, so buckets go up.  Between two bounds numbers are taken
to lie evenly; below the first one, if it is above zero, from zero on.  Where the highest bound is
not +Inf nobody knows how many there are, and where all are beyond the last other bound, that bound
is said (promql/quantile.go).
"""

from collections.abc import Iterator

from roost.series.extra import Floats, Mask, np
from roost.series.prometheus.plan import BUCKET, NAME
from roost.series.prometheus.vectors import Labels, Vector, grouped, outside, without


def histogram_quantile(shares: Floats, vector: Vector) -> Vector:
    """The quantile of each histogram; `shares` has a number for each step."""
    bounds = np.array([_bound(it) for it in vector.labels], np.float64)
    is_bucket = ~np.isnan(bounds)
    buckets, bounds = vector.at(is_bucket), bounds[is_bucket]
    if not len(buckets):
        return buckets
    groups = grouped(buckets.labels, lambda it: without(it, (BUCKET, NAME)))
    shape = (len(groups.labels), vector.values.shape[1])
    found, is_there = np.full(shape, np.nan), np.zeros(shape, np.bool_)
    ends = np.append(groups.begins[1:], len(buckets)).tolist()
    for place, (begin, end) in enumerate(zip(groups.begins.tolist(), ends, strict=True)):
        rows = groups.order[begin:end]
        rows = rows[np.argsort(bounds[rows], kind="stable")]
        there = buckets.is_there[rows]
        is_there[place] = there.any(axis=0)
        for steps, kept in _alike(there):
            counts = buckets.values[rows[kept]][:, steps]
            found[place, steps] = _quantiles(shares[steps], bounds[rows[kept]], counts)
    return Vector(groups.labels, found, is_there)


def _bound(labels: Labels) -> float:
    """The upper bound of a bucket; NaN when it is none."""
    text = dict(labels).get(BUCKET, "")
    try:
        return float(text)
    except ValueError:
        return np.nan


def _alike(is_there: Mask) -> Iterator[tuple[Mask, Mask]]:
    """Steps at which the same buckets have a number, together; and which buckets those are."""
    kinds, places = np.unique(is_there, axis=1, return_inverse=True)
    for number in range(kinds.shape[1]):
        if kinds[:, number].any():
            yield places.ravel() == number, kinds[:, number]


def _quantiles(shares: Floats, bounds: Floats, counts: Floats) -> Floats:
    """Of buckets in order, for steps at which all of them have a number."""
    bounds, begins = np.unique(bounds, return_index=True)
    if len(bounds) < 2 or bounds[-1] != np.inf:
        return outside(shares, np.full(len(shares), np.nan))
    # Two buckets of one bound, as 1 and 1.0, are one; and a bucket has what is in lower ones.
    counts = np.maximum.accumulate(np.add.reduceat(counts, begins, axis=0), axis=0)
    total = counts[-1]
    ranks = shares * total
    places = (counts[:-1] < ranks).sum(axis=0)
    last = len(bounds) - 1
    inner = np.minimum(places, last - 1)
    columns = np.arange(len(shares))
    before = np.where(inner > 0, counts[inner - 1, columns], 0.0)
    starts = np.where(inner > 0, bounds[inner - 1], 0.0)
    held = counts[inner, columns] - before
    with np.errstate(all="ignore"):
        found = starts + (bounds[inner] - starts) * ((ranks - before) / held)
    found = np.where((inner == 0) & (bounds[0] <= 0), bounds[0], found)
    found = np.where(places == last, bounds[last - 1], found)
    found = np.where((total == 0) | np.isnan(total), np.nan, found)
    return outside(shares, found)
