"""Functions of PromQL over the points of a series in windows: `rate`, `avg_over_time`, the newest.

A window has its end in it and not its beginning, as from Prometheus 3 on.  The newest point of a
window is there unless it is a stale marker: a NaN of its own kind, which Prometheus writes where a
series ends.  All other functions see numbers only: unlike Prometheus they leave out NaN, as all
that is summed up in Roost does (`roost.series.summaries`).

What needs no more than counts, sums, extremes and ends is also made of rows that sum up parts of a
window (`over_sums`), so windows of days cost no more than windows of minutes.

Windows may lie in each other.  A reduction reads each window's points (`_reduced`), which is as
many additions as a loop would do; sums that run on would be fewer, and lose digits.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from roost.series.extra import Floats, Ints, Mask, np
from roost.series.summaries import COUNT, FIRST, LAST, LEAST, MOST, SQUARES, SUM
from roost.series.tables import Table

# The NaN that says: here the series ends.
STALE_BITS = 0x7FF0000000000002
SECOND_NS = 10**9
# Points of windows that are laid out one after the other in one step.
EXPANDED_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of one width, in order: each from behind `starts` to `stops`.

    `moments` are the steps that they are for: `stops`, but for an offset.
    """

    starts: Ints
    stops: Ints
    moments: Ints


@dataclass(frozen=True, slots=True)
class Held:
    """Windows that have points: those of window i are from `lows[i]` to before `highs[i]`."""

    times: Ints
    values: Floats
    lows: Ints
    highs: Ints
    windows: Windows
    parameter: float

    @property
    def counts(self) -> Ints:
        """How many points each has."""
        found: Ints = self.highs - self.lows
        return found

    def some(self, chosen: slice) -> "Held":
        """Some of the windows."""
        it = self.windows
        windows = Windows(it.starts[chosen], it.stops[chosen], it.moments[chosen])
        return replace(self, lows=self.lows[chosen], highs=self.highs[chosen], windows=windows)


Result = tuple[Floats, Mask]


def windows_of(steps: Ints, range_ns: int, offset_ns: int) -> Windows:
    """The windows of steps."""
    stops = steps - offset_ns
    return Windows(stops - range_ns, stops, steps)


def over(function: str, points: Table, windows: Windows, parameter: float = 0.0) -> Result:
    """What a function makes of each window; and of which it makes something."""
    if function not in _POINTS:
        points = points.at(~np.isnan(points.values))
    lows = np.searchsorted(points.times, windows.starts, side="right")
    highs = np.searchsorted(points.times, windows.stops, side="right")
    least = 2 if function in _PAIRS else 1
    chosen = np.flatnonzero(highs - lows >= least)
    found, is_there = np.full(len(lows), np.nan), np.zeros(len(lows), np.bool_)
    if not len(chosen):
        return found, is_there
    kept = Windows(windows.starts[chosen], windows.stops[chosen], windows.moments[chosen])
    held = Held(points.times, points.values, lows[chosen], highs[chosen], kept, parameter)
    with np.errstate(all="ignore"):
        found[chosen] = FUNCTIONS[function](held)
    is_there[chosen] = True
    if function in _POINTS:
        is_there[chosen] = ~is_stale(points.values[held.highs - 1])
    return found, is_there


def is_stale(values: Floats) -> Mask:
    """Which numbers are stale markers."""
    found: Mask = np.ascontiguousarray(values).view(np.uint64) == STALE_BITS
    return found


def _reduced(how: np.ufunc, values: Floats, lows: Ints, highs: Ints) -> Floats:
    """Numbers of each window as one; each window has some."""
    bounds = np.stack((lows, highs), axis=1).ravel()
    found: Floats = how.reduceat(np.append(values, 0.0), bounds)[::2]
    return found


def _count(held: Held) -> Floats:
    return held.counts.astype(np.float64)


def _sum(held: Held) -> Floats:
    return _reduced(np.add, held.values, held.lows, held.highs)


def _avg(held: Held) -> Floats:
    found: Floats = _sum(held) / held.counts
    return found


def _min(held: Held) -> Floats:
    return _reduced(np.minimum, held.values, held.lows, held.highs)


def _max(held: Held) -> Floats:
    return _reduced(np.maximum, held.values, held.lows, held.highs)


def _first(held: Held) -> Floats:
    found: Floats = held.values[held.lows]
    return found


def _last(held: Held) -> Floats:
    found: Floats = held.values[held.highs - 1]
    return found


def _timestamp(held: Held) -> Floats:
    found: Floats = held.times[held.highs - 1] / SECOND_NS
    return found


def _present(held: Held) -> Floats:
    return np.ones(len(held.lows))


@dataclass(frozen=True, slots=True)
class _Part:
    """Some windows, the places of their points, and where among those each window's begin."""

    held: Held
    places: Ints
    begins: Ints


def _laid_out(held: Held) -> Iterator[_Part]:
    """Some windows at a time."""
    ends = np.cumsum(held.counts)
    begin = 0
    while begin < len(ends):
        before = int(ends[begin - 1]) if begin else 0
        stop = max(begin + 1, int(np.searchsorted(ends, before + EXPANDED_MAX, side="right")))
        part = held.some(slice(begin, stop))
        counts = part.counts
        begins = np.cumsum(counts) - counts
        places = np.arange(int(counts.sum())) + np.repeat(part.lows - begins, counts)
        yield _Part(part, places, begins)
        begin = stop


def _stdvar(held: Held) -> Floats:
    found = []
    for it in _laid_out(held):
        begins, counts = it.begins, it.held.counts
        values = it.held.values[it.places]
        means = np.add.reduceat(values, begins) / counts
        distances = values - np.repeat(means, counts)
        found.append(np.add.reduceat(distances * distances, begins) / counts)
    return np.concatenate(found)


def _stddev(held: Held) -> Floats:
    found: Floats = np.sqrt(_stdvar(held))
    return found


def _quantile(held: Held) -> Floats:
    found = []
    for it in _laid_out(held):
        counts = it.held.counts
        owners = np.repeat(np.arange(len(counts)), counts)
        values = it.held.values[it.places]
        values = values[np.lexsort((values, owners))]
        found.append(quantiles(held.parameter, values, it.begins, counts))
    return np.concatenate(found)


def quantiles(share: float, ordered: Floats, begins: Ints, counts: Ints) -> Floats:
    """Between two numbers in proportion; `ordered` has each group's numbers in their order."""
    if np.isnan(share):
        return np.full(len(begins), np.nan)
    if not 0 <= share <= 1:
        return np.full(len(begins), -np.inf if share < 0 else np.inf)
    ranks = share * (counts - 1)
    low = np.floor(ranks).astype(np.int64)
    high = np.minimum(low + 1, counts - 1)
    weights = ranks - low
    found: Floats = ordered[begins + low] * (1 - weights) + ordered[begins + high] * weights
    return found


def _changes(held: Held) -> Floats:
    return _pairs(held, held.values[1:] != held.values[:-1])


def _resets(held: Held) -> Floats:
    return _pairs(held, held.values[1:] < held.values[:-1])


def _pairs(held: Held, is_one: Mask) -> Floats:
    """How many neighbours in each window are such a pair."""
    running = np.append(0, np.cumsum(is_one))
    found: Floats = (running[held.highs - 1] - running[held.lows]).astype(np.float64)
    return found


def _extrapolated(held: Held, *, is_counter: bool, is_rate: bool) -> Floats:
    """By how much something has changed in each window, as Prometheus guesses it.

    Between the first and the last point it is known.  Towards an edge of the window it is taken to
    go on as far as the edge, if a point would be due before it, else for half the distance of two
    points; a counter not to below zero (promql/functions.go, extrapolatedRate).
    """
    first, last = held.lows, held.highs - 1
    changed = held.values[last] - held.values[first]
    if is_counter:
        before, after = held.values[:-1], held.values[1:]
        lost = np.append(0.0, np.where(after < before, before, 0.0))
        changed = changed + _reduced(np.add, lost, first + 1, held.highs)
    spans = (held.times[last] - held.times[first]) / SECOND_NS
    distances = spans / (held.counts - 1)
    to_start = (held.times[first] - held.windows.starts) / SECOND_NS
    to_stop = (held.windows.stops - held.times[last]) / SECOND_NS
    to_start = np.where(to_start >= 1.1 * distances, distances / 2, to_start)
    to_stop = np.where(to_stop >= 1.1 * distances, distances / 2, to_stop)
    if is_counter:
        begun = held.values[first]
        to_zero = np.where((changed > 0) & (begun >= 0), spans * (begun / changed), np.inf)
        to_start = np.minimum(to_start, to_zero)
    found: Floats = changed * ((spans + to_start + to_stop) / spans)
    if is_rate:
        found = found / ((held.windows.stops - held.windows.starts) / SECOND_NS)
    return found


def _rate(held: Held) -> Floats:
    return _extrapolated(held, is_counter=True, is_rate=True)


def _increase(held: Held) -> Floats:
    return _extrapolated(held, is_counter=True, is_rate=False)


def _delta(held: Held) -> Floats:
    return _extrapolated(held, is_counter=False, is_rate=False)


def _irate(held: Held) -> Floats:
    new, old = held.highs - 1, held.highs - 2
    steps = _idelta(held)
    steps = np.where(steps < 0, held.values[new], steps)
    found: Floats = steps / ((held.times[new] - held.times[old]) / SECOND_NS)
    return found


def _idelta(held: Held) -> Floats:
    found: Floats = held.values[held.highs - 1] - held.values[held.highs - 2]
    return found


def _lines(held: Held, origins: Ints) -> tuple[Floats, Floats]:
    """The line that fits the points of each window best: its rise a second, and its height."""
    slopes, heights = [], []
    for it in _laid_out(held):
        part, begins, counts = it.held, it.begins, it.held.counts
        values = part.values[it.places]
        seconds = (part.times[it.places] - np.repeat(part.times[part.lows], counts)) / SECOND_NS
        mean_x = np.add.reduceat(seconds, begins) / counts
        mean_y = np.add.reduceat(values, begins) / counts
        x, y = seconds - np.repeat(mean_x, counts), values - np.repeat(mean_y, counts)
        slope = np.add.reduceat(x * y, begins) / np.add.reduceat(x * x, begins)
        slopes.append(slope)
        heights.append(mean_y - slope * mean_x)
    rises: Floats = np.concatenate(slopes)
    shifts = (origins - held.times[held.lows]) / SECOND_NS
    return rises, np.concatenate(heights) + rises * shifts


def _deriv(held: Held) -> Floats:
    return _lines(held, held.times[held.lows])[0]


def _predict_linear(held: Held) -> Floats:
    rises, heights = _lines(held, held.windows.moments)
    found: Floats = heights + rises * held.parameter
    return found


FUNCTIONS: dict[str, Callable[[Held], Floats]] = {
    "": _last,
    "timestamp": _timestamp,
    "avg_over_time": _avg,
    "changes": _changes,
    "count_over_time": _count,
    "delta": _delta,
    "deriv": _deriv,
    "first_over_time": _first,
    "idelta": _idelta,
    "increase": _increase,
    "irate": _irate,
    "last_over_time": _last,
    "max_over_time": _max,
    "min_over_time": _min,
    "predict_linear": _predict_linear,
    "present_over_time": _present,
    "quantile_over_time": _quantile,
    "rate": _rate,
    "resets": _resets,
    "stddev_over_time": _stddev,
    "stdvar_over_time": _stdvar,
    "sum_over_time": _sum,
}
# Those that see each point, whatever its value; those that need two.
_POINTS = frozenset(("", "timestamp"))
_PAIRS = frozenset(("delta", "deriv", "idelta", "increase", "irate", "predict_linear", "rate"))
# Those that leave the name of a metric as it is.
KEEPS_NAME = frozenset(("", "first_over_time", "last_over_time"))
# Those that `over_sums` can make.
OF_SUMS = frozenset((
    "avg_over_time", "count_over_time", "first_over_time", "last_over_time", "max_over_time",
    "min_over_time", "present_over_time", "stddev_over_time", "stdvar_over_time", "sum_over_time",
))  # fmt: skip


def over_sums(function: str, rows: Table, lows: Ints, highs: Ints) -> Result:
    """As `over`, of rows that sum up parts of windows: from `lows[i]` to before `highs[i]`."""
    chosen = np.flatnonzero(highs > lows)
    found, is_there = np.full(len(lows), np.nan), np.zeros(len(lows), np.bool_)
    if len(chosen):
        with np.errstate(all="ignore"):
            found[chosen] = _of_sums(function, rows.columns, lows[chosen], highs[chosen])
        is_there[chosen] = True
    return found, is_there


def _of_sums(function: str, columns: Floats, lows: Ints, highs: Ints) -> Floats:
    match function:
        case "min_over_time":
            return _reduced(np.minimum, columns[LEAST], lows, highs)
        case "max_over_time":
            return _reduced(np.maximum, columns[MOST], lows, highs)
        case "first_over_time":
            first: Floats = columns[FIRST][lows]
            return first
        case "last_over_time":
            last: Floats = columns[LAST][highs - 1]
            return last
        case "present_over_time":
            return np.ones(len(lows))
    counts = _reduced(np.add, columns[COUNT], lows, highs)
    if function == "count_over_time":
        return counts
    sums = _reduced(np.add, columns[SUM], lows, highs)
    if function == "sum_over_time":
        return sums
    if function == "avg_over_time":
        average: Floats = sums / counts
        return average
    variances = _variances(columns, lows, highs, counts)
    return variances if function == "stdvar_over_time" else np.sqrt(variances)


def _variances(columns: Floats, lows: Ints, highs: Ints, counts: Floats) -> Floats:
    """Of sums of parts: their own squares, and how far their means lie from that of the window.

    Distances are taken from one number amid all of them, so that large values lose no digits.
    """
    centre = columns[SUM].sum() / columns[COUNT].sum()
    sums = columns[SUM] - centre * columns[COUNT]
    shifted = _reduced(np.add, sums, lows, highs)
    squares = columns[SQUARES] + sums * sums / columns[COUNT]
    found: Floats = _reduced(np.add, squares, lows, highs) / counts - (shifted / counts) ** 2
    return np.maximum(found, 0.0)
