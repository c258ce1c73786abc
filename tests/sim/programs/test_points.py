"""Time series under faults beside a dictionary a series; and bugs put into them, found soon."""

from typing import Any

import pytest

from roost.series import sealing, slicing
from roost.series.tables import Table, overlaid
from roost.sim import Broken
from tests.sim.programs.points import check_points, few_are_many

SEEDS_MAX = 40


@pytest.fixture(autouse=True)
def _no_seeds_of_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROOST_SEED", "ROOST_SEEDS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.slow
def test_points_and_sums_are_those_of_a_dictionary() -> None:
    with few_are_many():
        checked = check_points(range(1, 5))
    assert checked.seeds == 4
    assert checked.answered > 150
    assert checked.crashes > 2


OVERLAID = overlaid


def _older_counts(old: Table, new: Table, *, keeps_highest: bool = False) -> Table:
    return OVERLAID(new, old, keeps_highest=keeps_highest)


def _no_steps(*_given: Any) -> list[Any]:
    return []


async def _nothing_is_summed(*_given: Any, **_named: Any) -> None:
    return None


BUGS = {
    "the older of two counts": (sealing, "overlaid", _older_counts),
    "nothing is deleted from blocks": (slicing, "_steps", _no_steps),
    "rows are not made anew": (sealing.Sealing, "_sum_up", _nothing_is_summed),
}


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_that_is_put_into_them_is_found_in_a_few_seeds(bug: str) -> None:
    with few_are_many() as patch:
        patch.setattr(*BUGS[bug])
        with pytest.raises(Broken):
            check_points(range(SEEDS_MAX))
