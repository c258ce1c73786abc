"""A dumb evaluator of plans: one step, one series, one point after the other, in plain Python.

It says what each function means, without arrays; `test_evaluating` holds the real one to it.
"""

import math
import re
import statistics
from collections.abc import Callable, Sequence
from itertools import pairwise

from roost.series.prometheus.plan import (
    Aggregate,
    Binary,
    Call,
    Leaf,
    Matcher,
    MatchKind,
    Negative,
    Number,
    Plan,
    Subquery,
    Text,
)

Labels = tuple[tuple[str, str], ...]
Points = list[tuple[int, float]]
Series = dict[Labels, Points]
Vector = dict[Labels, float]
Value = Vector | float | str
NAN = math.nan


class Refused(Exception):
    """It cannot be said which series is meant."""


def unnamed(labels: Labels) -> Labels:
    return tuple(it for it in labels if it[0] != "__name__")


def put(found: Vector, labels: Labels, value: float) -> None:
    if labels in found:
        raise Refused(labels)
    found[labels] = value


def fits(it: Matcher, labels: dict[str, str]) -> bool:
    value = labels.get(it.name, "")
    match it.kind:
        case MatchKind.IS:
            return value == it.value
        case MatchKind.IS_NOT:
            return value != it.value
        case MatchKind.MATCHES:
            return re.fullmatch(it.value, value) is not None
    return re.fullmatch(it.value, value) is None


def leaf(plan: Leaf, series: Series, step: int) -> Vector:
    found: Vector = {}
    stop = (step if plan.at_ns is None else plan.at_ns) - plan.offset_ns
    for labels, points in series.items():
        if not all(fits(it, dict(labels)) for it in plan.matchers):
            continue
        held = [it for it in sorted(points) if stop - plan.range_ns < it[0] <= stop]
        if plan.function in ("", "timestamp"):
            if held:
                value = held[-1][1] if not plan.function else held[-1][0] / 1e9
                put(found, labels if not plan.function else unnamed(labels), value)
            continue
        held = [it for it in held if not math.isnan(it[1])]
        made = over(plan, held, stop)
        if made is not None:
            keeps = plan.function in ("first_over_time", "last_over_time")
            put(found, labels if keeps else unnamed(labels), float(made))
    return found


def subquery(plan: Subquery, series: Series, step: int) -> Vector:
    stop = (step if plan.at_ns is None else plan.at_ns) - plan.offset_ns
    held: dict[Labels, Points] = {}
    for moment in range(stop // plan.step_ns * plan.step_ns, stop - plan.range_ns, -plan.step_ns):
        found = evaluate(plan.of, series, moment)
        assert isinstance(found, dict)
        for labels, value in found.items():
            held.setdefault(labels, []).append((moment, value))
    made: Vector = {}
    for labels, points in held.items():
        numbers = [it for it in sorted(points) if not math.isnan(it[1])]
        told = over(plan, numbers, stop)
        if told is not None:
            keeps = plan.function in ("first_over_time", "last_over_time")
            put(made, labels if keeps else unnamed(labels), float(told))
    return made


OVER: dict[str, Callable[[list[float]], float]] = {
    "avg_over_time": lambda it: sum(it) / len(it),
    "sum_over_time": sum,
    "min_over_time": min,
    "max_over_time": max,
    "count_over_time": len,
    "first_over_time": lambda it: it[0],
    "last_over_time": lambda it: it[-1],
    "present_over_time": lambda _: 1.0,
    "stddev_over_time": statistics.pstdev,
    "stdvar_over_time": statistics.pvariance,
    "changes": lambda it: sum(a != b for a, b in pairwise(it)),
    "resets": lambda it: sum(b < a for a, b in pairwise(it)),
}
PAIRS = ("rate", "increase", "delta", "irate", "idelta", "deriv", "predict_linear")


def over(plan: Leaf | Subquery, held: Points, stop: int) -> float | None:
    values = [it[1] for it in held]
    name = plan.function
    if len(held) < (2 if name in PAIRS else 1):
        return None
    if name in OVER:
        return OVER[name](values)
    match name:
        case "quantile_over_time":
            return quantile(plan.parameter, values)
        case "idelta":
            return values[-1] - values[-2]
        case "irate":
            gained = values[-1] - values[-2] if values[-1] >= values[-2] else values[-1]
            return gained / ((held[-1][0] - held[-2][0]) / 1e9)
        case "deriv":
            return line(held, held[0][0])[0]
        case "predict_linear":
            rise, height = line(held, stop + plan.offset_ns)
            return height + rise * plan.parameter
    return extrapolated(plan, held, stop)


def line(held: Points, origin: int) -> tuple[float, float]:
    xs = [(it - origin) / 1e9 for it, _ in held]
    fitted = statistics.linear_regression(xs, [it[1] for it in held])
    return fitted.slope, fitted.intercept


def extrapolated(plan: Leaf | Subquery, held: Points, stop: int) -> float:
    values = [it[1] for it in held]
    changed = values[-1] - values[0]
    is_counter = plan.function != "delta"
    if is_counter:
        changed += sum(a for a, b in pairwise(values) if b < a)
    span = (held[-1][0] - held[0][0]) / 1e9
    apart = span / (len(held) - 1)
    before = (held[0][0] - (stop - plan.range_ns)) / 1e9
    after = (stop - held[-1][0]) / 1e9
    before = apart / 2 if before >= 1.1 * apart else before
    after = apart / 2 if after >= 1.1 * apart else after
    if is_counter and changed > 0 and values[0] >= 0:
        before = min(before, span * values[0] / changed)
    found = changed * (span + before + after) / span
    return found / (plan.range_ns / 1e9) if plan.function == "rate" else found


def quantile(share: float, values: Sequence[float]) -> float:
    if math.isnan(share) or not values:
        return NAN
    if not 0 <= share <= 1:
        return -math.inf if share < 0 else math.inf
    ordered = sorted(values, key=lambda it: (not math.isnan(it), it))
    rank = share * (len(ordered) - 1)
    low = math.floor(rank)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] * (1 - (rank - low)) + ordered[high] * (rank - low)


def aggregate(plan: Aggregate, series: Series, step: int) -> Vector:
    held = evaluate(plan.of, series, step)
    parameter = None if plan.parameter is None else evaluate(plan.parameter, series, step)
    assert isinstance(held, dict)
    groups: dict[Labels, Vector] = {}
    for labels, value in held.items():
        key = tuple(
            it for it in labels
            if (it[0] in (*plan.labels, *["__name__"] * plan.is_without)) != plan.is_without
        )  # fmt: skip
        groups.setdefault(key, {})[labels] = value
    found: Vector = {}
    for key, rows in groups.items():
        if plan.name in ("topk", "bottomk"):
            assert isinstance(parameter, float)
            sign = 1 if plan.name == "bottomk" else -1
            ordered = sorted(rows.items(), key=lambda it: (math.isnan(it[1]), sign * it[1]))
            found.update(ordered[: max(0, int(parameter))])
        else:
            found[key] = float(reduced(plan.name, list(rows.values()), parameter))
    return found


def reduced(name: str, values: list[float], parameter: Value | None) -> float:
    numbers = [it for it in values if not math.isnan(it)]
    match name:
        case "sum":
            return sum(values)
        case "avg":
            return sum(values) / len(values)
        case "count":
            return len(values)
        case "group":
            return 1.0
        case "min":
            return min(numbers, default=NAN)
        case "max":
            return max(numbers, default=NAN)
        case "stdvar" | "stddev":
            mean = sum(values) / len(values)
            found = sum((it - mean) ** 2 for it in values) / len(values)
            return found if name == "stdvar" else math.sqrt(found)
    assert isinstance(parameter, float)
    return quantile(parameter, values)


def _divided(a: float, b: float) -> float:
    if b:
        return a / b
    return NAN if not a or math.isnan(a) or math.isnan(b) else math.copysign(math.inf, a) * (
        math.copysign(1, b)
    )  # fmt: skip


def _remainder(a: float, b: float) -> float:
    return math.fmod(a, b) if b and not math.isinf(a) else NAN


SIGNS: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _divided,
    "%": _remainder,
}
COMPARED: dict[str, Callable[[float, float], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def key_of(plan: Binary, labels: Labels) -> Labels:
    if plan.is_on:
        return tuple(it for it in labels if it[0] in plan.labels)
    return tuple(it for it in labels if it[0] not in (*plan.labels, "__name__"))


def binary(plan: Binary, series: Series, step: int) -> Value:
    left, right = evaluate(plan.left, series, step), evaluate(plan.right, series, step)
    assert not isinstance(left, str) and not isinstance(right, str)
    if isinstance(left, dict) and isinstance(right, dict):
        return vectors(plan, left, right)
    if isinstance(left, dict) or isinstance(right, dict):
        found: Vector = {}
        vector = left if isinstance(left, dict) else right
        assert isinstance(vector, dict)
        for labels, value in vector.items():
            a = value if isinstance(left, dict) else left
            b = value if isinstance(right, dict) else right
            made = computed(plan, a, b, value)
            if made is not None:
                is_kept = plan.sign in COMPARED and not plan.is_bool
                put(found, labels if is_kept else unnamed(labels), made)
        return found
    return float(COMPARED[plan.sign](left, right)) if plan.sign in COMPARED else (
        SIGNS[plan.sign](left, right)
    )  # fmt: skip


def computed(plan: Binary, a: float, b: float, kept: float) -> float | None:
    if plan.sign in SIGNS:
        return SIGNS[plan.sign](a, b)
    holds = COMPARED[plan.sign](a, b)
    if plan.is_bool:
        return float(holds)
    return kept if holds else None


def vectors(plan: Binary, left: Vector, right: Vector) -> Vector:
    lefts = {key_of(plan, it) for it in left}
    rights = {key_of(plan, it) for it in right}
    found: Vector = {}
    match plan.sign:
        case "and":
            return {it: value for it, value in left.items() if key_of(plan, it) in rights}
        case "unless":
            return {it: value for it, value in left.items() if key_of(plan, it) not in rights}
        case "or":
            found = dict(left)
            for labels, value in right.items():
                if key_of(plan, labels) not in lefts:
                    put(found, labels, value)
            return found
    by_key: Vector = {}
    for labels, value in right.items():
        put(by_key, key_of(plan, labels), value)
    seen: Vector = {}
    for labels, value in left.items():
        key = key_of(plan, labels)
        made = computed(plan, value, by_key[key], value) if key in by_key else None
        if made is not None:
            put(seen, key, made)
            is_named = plan.sign in COMPARED and not plan.is_bool
            title = labels if is_named else unnamed(labels)
            title = tuple(it for it in title if (it[0] in plan.labels) == plan.is_on)
            put(found, title, made)
    return found


EACH: dict[str, Callable[[float], float]] = {
    "abs": abs,
    "ceil": lambda it: it if math.isnan(it) or math.isinf(it) else float(math.ceil(it)),
    "floor": lambda it: it if math.isnan(it) or math.isinf(it) else float(math.floor(it)),
    "sgn": lambda it: it if math.isnan(it) else float((it > 0) - (it < 0)),
    "sqrt": lambda it: math.sqrt(it) if it >= 0 else NAN,
}


def call(plan: Call, series: Series, step: int) -> Value:
    given = [evaluate(it, series, step) for it in plan.arguments]
    if plan.name == "time":
        return step / 1e9
    if plan.name == "vector":
        assert isinstance(given[0], float)
        return {(): given[0]}
    vector = given[-1] if plan.name == "histogram_quantile" else given[0]
    assert isinstance(vector, dict)
    if plan.name == "scalar":
        return next(iter(vector.values())) if len(vector) == 1 else NAN
    if plan.name == "histogram_quantile":
        assert isinstance(given[0], float)
        return histograms(given[0], vector)
    if plan.name in ("absent", "absent_over_time"):
        return {} if vector else {labels_of(plan.arguments[0]): 1.0}
    rest = [it for it in given[1:] if isinstance(it, float)]
    found: Vector = {}
    for labels, value in vector.items():
        made = one(plan.name, value, rest)
        if made is not None:
            put(found, unnamed(labels), made)
    return found


def labels_of(plan: Plan) -> Labels:
    if not isinstance(plan, Leaf):
        return ()
    names = [it.name for it in plan.matchers]
    return tuple(sorted(
        (it.name, it.value) for it in plan.matchers
        if it.kind is MatchKind.IS and names.count(it.name) == 1 and it.name != "__name__"
        and it.value
    ))  # fmt: skip


def one(name: str, value: float, rest: Sequence[float]) -> float | None:
    if name in EACH:
        return EACH[name](value)
    if name == "round":
        nearest = rest[0] if rest else 1.0
        found = value / nearest
        return found if math.isnan(found) or math.isinf(found) else (
            math.floor(value * (1 / nearest) + 0.5) / (1 / nearest)
        )  # fmt: skip
    if math.isnan(value):
        return None if name == "clamp" and rest[0] > rest[1] else NAN
    match name:
        case "clamp_min":
            return max(value, rest[0])
        case "clamp_max":
            return min(value, rest[0])
    assert name == "clamp", name
    return None if rest[0] > rest[1] else max(rest[0], min(rest[1], value))


def histograms(share: float, vector: Vector) -> Vector:
    groups: dict[Labels, list[tuple[float, float]]] = {}
    for labels, value in vector.items():
        text = dict(labels).get("le")
        if text is not None:
            key = tuple(it for it in labels if it[0] not in ("le", "__name__"))
            groups.setdefault(key, []).append((float(text), value))
    return {key: bucket_quantile(share, sorted(it)) for key, it in groups.items()}


def bucket_quantile(share: float, buckets: list[tuple[float, float]]) -> float:
    if not 0 <= share <= 1:
        return NAN if math.isnan(share) else (-math.inf if share < 0 else math.inf)
    highest = 0.0
    held = []
    for bound, count in buckets:
        highest = max(highest, count)
        held.append((bound, highest))
    if held[-1][0] != math.inf or len(held) < 2 or not held[-1][1]:
        return NAN
    rank = share * held[-1][1]
    place = next(it for it, row in enumerate(held) if it == len(held) - 1 or row[1] >= rank)
    if place == len(held) - 1:
        return held[-2][0]
    if place == 0 and held[0][0] <= 0:
        return held[0][0]
    start, below = held[place - 1] if place else (0.0, 0.0)
    bound, count = held[place]
    return start + (bound - start) * (rank - below) / (count - below)


def evaluate(plan: Plan, series: Series, step: int) -> Value:
    """What a plan comes to at one step."""
    match plan:
        case Leaf():
            return leaf(plan, series, step)
        case Subquery():
            return subquery(plan, series, step)
        case Number(value) | Text(value):
            return value
        case Negative(of):
            found = evaluate(of, series, step)
            if isinstance(found, dict):
                negated: Vector = {}
                for labels, value in found.items():
                    put(negated, unnamed(labels), -value)
                return negated
            assert isinstance(found, float)
            return -found
        case Call():
            return call(plan, series, step)
        case Aggregate():
            return aggregate(plan, series, step)
    return binary(plan, series, step)
