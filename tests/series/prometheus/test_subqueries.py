"""Subqueries: which steps they have, alone and in each other; what they may take.

What functions make of them is held to the dumb evaluator by `test_evaluating`.
"""

import pytest

pytest.importorskip("promql_parser")

from roost.series.prometheus.errors import QueryTooLarge
from roost.series.prometheus.vectors import Vector
from tests.series.prometheus.engines import SECOND, ask, engine_of
from tests.series.prometheus.model import Series

BEGIN = 1_711_800_000 * SECOND
assert BEGIN % (60 * SECOND) == 0
# One point each second, whose value says when it is.
HELD: Series = {
    (("__name__", "a"),): [(BEGIN + it * SECOND, float(it)) for it in range(600)],
}


def numbers(text: str, *seconds: int) -> list[float]:
    found = ask(engine_of(HELD), text, [BEGIN + it * SECOND for it in seconds])
    assert isinstance(found, Vector)
    return found.values[0].tolist() if len(found) else []


def test_its_steps_are_the_multiples_of_its_width_behind_where_its_window_begins() -> None:
    assert numbers("count_over_time(a[3m:1m])", 180, 200, 239, 240) == [3, 3, 3, 3]
    assert numbers("first_over_time(a[3m:1m])", 180, 200, 239, 240) == [60, 60, 60, 120]
    assert numbers("last_over_time(a[3m:1m])", 180, 200, 239, 240) == [180, 180, 180, 240]
    assert numbers("last_over_time(a[3m:])", 239) == [180]
    assert numbers("last_over_time(a[3m:1m] offset 2m)", 240) == [120]
    assert numbers("last_over_time(a[3m:1m] @ 1711800130)", 1, 590) == [120, 120]


def test_one_in_another_has_steps_of_its_own_and_none_where_no_multiple_is() -> None:
    assert BEGIN // SECOND % 7 == 1
    assert numbers("sum_over_time(last_over_time(a[1m:7s])[3m:1m])", 180) == [55 + 118 + 174]
    assert numbers("count_over_time(a[10s:1m])", 185) == [1]
    assert numbers("count_over_time(a[10s:1m])", 195) == []
    assert numbers("max_over_time(max_over_time(a[1m:10s])[10s:1m])", 195) == []


@pytest.mark.parametrize("text", ["max_over_time(a[70y:1ms])", "sum_over_time(rate(a[1m])[1y:1s])"])
def test_steps_are_bounded_before_anything_is_made(text: str) -> None:
    with pytest.raises(QueryTooLarge):
        numbers(text, 100)
