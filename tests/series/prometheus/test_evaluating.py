"""PromQL, from its text to its numbers, against a dumb evaluator; points in blocks and staged."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("promql_parser")

from roost.series.extra import np
from roost.series.prometheus.errors import QueryFailed
from roost.series.prometheus.functions import Value
from roost.series.prometheus.loading import is_of_sums
from roost.series.prometheus.parsing import parsed
from roost.series.prometheus.plan import Leaf
from roost.series.prometheus.vectors import Labels, Vector
from tests.series.prometheus import model
from tests.series.prometheus.engines import LOOKBACK, SECOND, ask, engine_of, value_of

pytestmark = pytest.mark.slow
BEGIN = 1_711_800_000 * SECOND
NAN = math.nan
BOUNDS = ("0.5", "1", "5", "+Inf")


def labels(name: str, **given_labels: str) -> Labels:
    return tuple(sorted((("__name__", name), *given_labels.items())))


GAUGES = [labels(name, h=h) for name in ("a", "b") for h in ("x", "y")]
BUCKETS = [labels("hb", le=le, h=h) for le in BOUNDS for h in ("x", "y")]
# No moment of a point is one at which a window begins or ends.
moments = st.integers(0, 60).map(lambda it: BEGIN + it * 10 * SECOND + 137_000_000)
values = st.one_of(st.integers(-5, 20).map(float), st.just(NAN))
points = st.dictionaries(moments, values, max_size=12).map(lambda it: list(it.items()))
counts = st.dictionaries(moments, st.integers(0, 9).map(float), max_size=6)
series = st.fixed_dictionaries(
    {
        **dict.fromkeys(GAUGES, points),
        **dict.fromkeys(BUCKETS, counts.map(lambda it: list(it.items()))),
    }
)
steps = st.builds(
    lambda begin, width, count: [BEGIN + (begin + it * width) * SECOND for it in range(count)],
    st.integers(0, 400), st.sampled_from([10, 60, 200]), st.integers(1, 5),
)  # fmt: skip

# Numbers that are whole as long as those of the points are, so that nothing is nearly the same.
WINDOWS = (
    "sum_over_time", "count_over_time", "max_over_time", "min_over_time", "last_over_time",
    "first_over_time", "changes", "resets", "idelta", "present_over_time",
)  # fmt: skip
whole_leaves = st.sampled_from(
    ["a", "b", 'a{h="x"}', 'b{h!="x"}', '{__name__=~"a|b",h=~"x|z"}', "a offset 30s",
     "a @ 1711800100", "b offset 30s @ end()", "max_over_time(a[200s] @ 1711800300.5 offset -1m)",
     "count_over_time(b[90s] @ start())", 'b{h!~"y.*"} offset -20s', "vector(3)",
     "max_over_time(a[3m:20s])", "sum_over_time((a + on(h) b)[2m:] offset 30s)",
     "count_over_time(max_over_time(b[1m])[2m:30s] @ end())", "changes(sum by (h) (a)[200s:7s])",
     "last_over_time(b[90s:10s])", "absent_over_time(nothing[1m:10s])",
     'absent(a{h="x"})', "absent(nothing)", "a{no=''}",
     *(f"{it}(a[90s])" for it in WINDOWS), *(f"{it}(b[200s] offset 1m)" for it in WINDOWS)]
)  # fmt: skip
signs = st.sampled_from(["+", "-", "*", ">", "<=", "== bool", "and", "or", "unless", "!= bool"])
matched = st.sampled_from(["", "on(h)", "ignoring(h)"])


def between(inner: "st.SearchStrategy[str]") -> "st.SearchStrategy[str]":
    return st.builds(lambda a, s, m, b: f"({a}) {s} {m} ({b})", inner, signs, matched, inner)


def wrapped(inner: "st.SearchStrategy[str]") -> "st.SearchStrategy[str]":
    forms = st.sampled_from([
        "sum by (h) ({})", "max without (h) ({})", "min({})", "count({})", "group by (h) ({})",
        "-({})", "abs({})", "clamp({}, -2, 5)", "clamp({}, 3, 1)", "clamp_max({}, 4)", "({}) * 2",
        "2 - ({})", "({}) > 3", "3 > bool ({})", "({}) % 3", "sgn({})", "vector(scalar({}))",
        "absent({})", "({}) + time()", "clamp_min({}, 1)", "1 - (3 > bool 2) + ({})",
    ])  # fmt: skip
    return st.builds(lambda form, it: form.format(it), forms, inner)


whole = st.recursive(whole_leaves, lambda it: st.one_of(wrapped(it), between(it)), max_leaves=4)
broken_leaves = st.one_of(
    st.sampled_from([
        "rate(a[2m])", "increase(b[90s])", "delta(a[2m] offset 20s)", "irate(b[2m])",
        "deriv(a[3m])", "rate(sum(a)[3m:15s])",
        "avg_over_time(rate(a[1m])[2m:20s])", "predict_linear(a[3m], 60)", "avg_over_time(b[2m])",
        "stddev_over_time(a[2m])", "stdvar_over_time(b[3m])", "quantile_over_time(0.3, a[3m])",
        "quantile_over_time(2, a[3m])", "histogram_quantile(0.9, hb)", "timestamp(a)",
        "histogram_quantile(0.5, sum by (le) (hb))", "histogram_quantile(-1, hb)",
        "histogram_quantile(0.2, sum without (h) (hb) > 1)",
    ]),
    st.builds(
        lambda form, it: form.format(it),
        st.sampled_from(["avg({})", "stddev by (h) ({})", "stdvar({})", "quantile(0.7, {})",
                         "({}) / 7", "3 / ({})", "sqrt({})", "round({}, 2)", "round({})"]),
        whole,
    ),
)  # fmt: skip
broken = st.recursive(
    broken_leaves,
    lambda it: st.builds(
        lambda form, a, b: form.format(a, b),
        st.sampled_from(["({}) + 1", "sum by (h) ({})", "({}) * on(h) ({})", "max({})", "-({})"]),
        it, it,
    ),
    max_leaves=3,
)  # fmt: skip


def same(found: Value, wanted: Sequence[model.Value], text: str) -> None:
    for step, held in enumerate(wanted):
        if not isinstance(found, Vector):
            assert not isinstance(found, str) and isinstance(held, float)
            assert np.allclose(found[step], held, equal_nan=True), text
            continue
        assert isinstance(held, dict)
        there = np.flatnonzero(found.is_there[:, step]).tolist()
        assert {found.labels[it] for it in there} == set(held), (text, step)
        for it in there:
            value, other = found.values[it, step], held[found.labels[it]]
            assert np.allclose(value, other, rtol=1e-7, atol=1e-7, equal_nan=True), (
                text, step, found.labels[it], value, other
            )  # fmt: skip


def against_the_model(held: model.Series, text: str, moments: list[int], sealed: float) -> None:
    plan = parsed(text, LOOKBACK, (moments[0], moments[-1]))
    engine = engine_of(held, sealed=sealed)
    try:
        wanted = [model.evaluate(plan, held, it) for it in moments]
    except model.Refused:
        with pytest.raises(QueryFailed):
            value_of(engine, plan, np.array(moments, np.int64))
        return
    same(value_of(engine, plan, np.array(moments, np.int64)), wanted, text)


@settings(max_examples=50, deadline=None)
@given(series, whole, steps, st.sampled_from([0.0, 0.5, 1.0]))
def test_whole_numbers_are_what_the_model_says(
    held: model.Series, text: str, moments: list[int], sealed: float
) -> None:
    against_the_model(held, text, moments, sealed)


@settings(max_examples=50, deadline=None)
@given(series, broken, steps, st.sampled_from([0.0, 0.5, 1.0]))
def test_broken_numbers_are_what_the_model_says(
    held: model.Series, text: str, moments: list[int], sealed: float
) -> None:
    against_the_model(held, text, moments, sealed)


long_points = st.dictionaries(
    st.integers(0, 2000).map(lambda it: BEGIN + it * 97 * SECOND + 137), values, max_size=80
)
summed = st.sampled_from([
    "avg_over_time", "count_over_time", "first_over_time", "last_over_time", "max_over_time",
    "min_over_time", "present_over_time", "stddev_over_time", "stdvar_over_time", "sum_over_time",
])  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    long_points, summed, st.sampled_from(["15m", "20m", "1h", "7h", "2d"]), st.integers(-20, 3000),
    st.sampled_from([900, 1200, 3600, 90_000]), st.integers(1, 40),
    st.sampled_from([0.0, 0.7, 1.0]),
)  # fmt: skip
def test_long_windows_come_of_sums_and_are_the_same(
    held: dict[int, float], function: str, window: str, begin: int, width: int, count: int,
    sealed: float,
) -> None:  # fmt: skip
    moments = [BEGIN + (begin * 60 + it * width) * SECOND for it in range(count)]
    plan = parsed(f"{function}(a[{window}] offset 1m)", LOOKBACK)
    assert isinstance(plan, Leaf)
    assert is_of_sums(plan, np.array(moments))
    points = [(at, 1e6 + value) for at, value in held.items()]
    against_the_model({GAUGES[0]: points}, f"{function}(a[{window}] offset 1m)", moments, sealed)


def test_a_window_has_its_end_in_it_and_not_its_beginning() -> None:
    """As from Prometheus 3 on; the same by points, by sums, and for the newest point."""
    held = [(BEGIN + it * 900 * SECOND, float(it)) for it in range(5)]
    engine = engine_of({GAUGES[0]: held})
    step = BEGIN + 2700 * SECOND

    def number(text: str) -> float:
        found = ask(engine, text, [step])
        assert isinstance(found, Vector)
        return float(found.values[0, 0]) if len(found) else NAN

    assert number("count_over_time(a[10m])") == 1
    assert number("sum_over_time(a[30m])") == 5
    assert number("changes(a[30m])") == 1
    assert number("a") == 3
    newest = value_of(engine, parsed("a", 900 * SECOND), np.array([step + 900 * SECOND - 1]))
    assert isinstance(newest, Vector)
    assert newest.values[0, 0] == 3
    gone = value_of(engine, parsed("a offset 1h", 900 * SECOND), np.array([step + 5400 * SECOND]))
    assert isinstance(gone, Vector)
    assert not len(gone)
