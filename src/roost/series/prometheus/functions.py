"""Functions of PromQL on vectors and numbers; those on the points of windows are in `ranges`."""

from collections.abc import Callable, Sequence

from roost.series.extra import Floats, Ints, np
from roost.series.prometheus.errors import BadQuery, NotInSubset
from roost.series.prometheus.histograms import histogram_quantile
from roost.series.prometheus.plan import NAME, Leaf, MatchKind, Plan
from roost.series.prometheus.ranges import SECOND_NS
from roost.series.prometheus.relabelling import label_join, label_replace
from roost.series.prometheus.vectors import Labels, Vector, unnamed

Value = Vector | Floats | str

# Of each number one; the name of the metric goes.
EACH: dict[str, Callable[[Floats], Floats]] = {
    "abs": np.abs,
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "ceil": np.ceil,
    "cos": np.cos,
    "cosh": np.cosh,
    "deg": np.degrees,
    "exp": np.exp,
    "floor": np.floor,
    "ln": np.log,
    "log10": np.log10,
    "log2": np.log2,
    "rad": np.radians,
    "sgn": np.sign,
    "sin": np.sin,
    "sinh": np.sinh,
    "sqrt": np.sqrt,
    "tan": np.tan,
    "tanh": np.tanh,
}
OTHERS = frozenset((
    "absent", "absent_over_time", "clamp", "clamp_max", "clamp_min", "histogram_quantile",
    "label_join", "label_replace", "pi", "round", "scalar", "sort", "sort_desc", "time", "vector",
))  # fmt: skip


def called(name: str, given: Sequence[Value], steps: Ints, asked: Sequence[Plan]) -> Value:
    """What a function comes to; `asked` are its arguments as they were written.

    Raises:
        BadQuery: an argument is none.
        QueryFailed: two series would be the same.
        NotInSubset: there is no such function here.

    """
    with np.errstate(all="ignore"):
        if name in EACH:
            it = _vector(given[0])
            return unnamed(Vector(it.labels, EACH[name](it.values), it.is_there))
        match name:
            case "time":
                return steps / SECOND_NS
            case "pi":
                return np.full(len(steps), np.pi)
            case "vector":
                number = _numbers(given[0])
                return Vector([()], number.reshape(1, -1), np.ones((1, len(steps)), np.bool_))
            case "scalar":
                return _scalar(_vector(given[0]))
            case "absent" | "absent_over_time":
                return _absent(_vector(given[0]), asked[0])
            case "clamp" | "clamp_min" | "clamp_max":
                return _clamped(name, _vector(given[0]), [_numbers(it) for it in given[1:]])
            case "round":
                nearest = _numbers(given[1]) if len(given) > 1 else np.ones(len(steps))
                return _rounded(_vector(given[0]), nearest)
            case "sort" | "sort_desc":
                return _sorted(_vector(given[0]), is_falling=name == "sort_desc")
            case "histogram_quantile":
                return histogram_quantile(_numbers(given[0]), _vector(given[1]))
            case "label_replace":
                target, template, source, text = (_text(it) for it in given[1:])
                return label_replace(_vector(given[0]), target, template, source, text)
            case "label_join":
                target, separator, *sources = (_text(it) for it in given[1:])
                return label_join(_vector(given[0]), target, separator, tuple(sources))
    raise NotInSubset(f"the function {name}() is not answered here")


def _vector(given: Value) -> Vector:
    if not isinstance(given, Vector):
        raise BadQuery("expected type instant vector, got a number or a string")
    return given


def _numbers(given: Value) -> Floats:
    if isinstance(given, Vector | str):
        raise BadQuery("expected type scalar, got a vector or a string")
    return given


def _text(given: Value) -> str:
    if not isinstance(given, str):
        raise BadQuery("expected type string, got a vector or a number")
    return given


def _scalar(vector: Vector) -> Floats:
    """The one number that a vector has at a step; NaN when there is none, or there are more."""
    counts = vector.is_there.sum(axis=0)
    sums = np.where(vector.is_there, vector.values, 0.0).sum(axis=0)
    found: Floats = np.where(counts == 1, sums, np.nan)
    return found


def _absent(vector: Vector, asked: Plan) -> Vector:
    """1 at each step at which nothing is there, with the labels that were asked for."""
    counts = vector.is_there.sum(axis=0).reshape(1, -1)
    return Vector([_labels_of(asked)], np.ones(counts.shape), counts == 0)


def _labels_of(asked: Plan) -> Labels:
    """Labels that have to be one value, each asked for once."""
    if not isinstance(asked, Leaf):
        return ()
    names = [it.name for it in asked.matchers]
    found = [
        (it.name, it.value)
        for it in asked.matchers
        if it.kind is MatchKind.IS and it.value and names.count(it.name) == 1 and it.name != NAME
    ]
    return tuple(sorted(found))


def _clamped(name: str, vector: Vector, bounds: Sequence[Floats]) -> Vector:
    values, is_there = vector.values, vector.is_there
    if name == "clamp":
        least, most = bounds
        # Nothing lies between two bounds that are the wrong way round.
        is_there = is_there & ~(least > most)
        values = np.maximum(least, np.minimum(most, values))
    elif name == "clamp_min":
        values = np.maximum(values, bounds[0])
    else:
        values = np.minimum(values, bounds[0])
    return unnamed(Vector(vector.labels, values, is_there))


def _rounded(vector: Vector, nearest: Floats) -> Vector:
    """Halves go up."""
    inverse = 1.0 / nearest
    return unnamed(
        Vector(vector.labels, np.floor(vector.values * inverse + 0.5) / inverse, vector.is_there)
    )


def _sorted(vector: Vector, *, is_falling: bool) -> Vector:
    """By the numbers of the last step, NaN behind them: it means something where there is one."""
    if not vector.values.shape[1]:
        return vector
    last = -vector.values[:, -1] if is_falling else vector.values[:, -1]
    return vector.at(np.lexsort((last, np.isnan(last))))
