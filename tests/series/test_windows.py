"""Windows begin and end where clocks say so, in any zone."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.series.errors import BadWindow
from roost.series.tables import TIME_MIN, TIME_STOP
from roost.series.windows import (
    STEP_DAYS,
    WINDOWS_MAX,
    Calendar,
    Fixed,
    Unit,
    Window,
    auto_window,
    edges,
    edges_in_turns,
    zone,
)

HOUR = 3600 * 10**9


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 10**9


def spans(window: Window, start: str, stop: str, name: str = "UTC") -> list[float]:
    """Hours of each window."""
    tz = UTC if name == "UTC" else zone(name)
    found = edges(window, ns(start), ns(stop), tz)
    assert found[0] <= ns(start)
    assert found[-2] < ns(stop) <= found[-1]
    return [float(it) for it in np.diff(found) / HOUR]


def test_the_day_that_clocks_go_forward_has_23_hours() -> None:
    day = Calendar(Unit.DAY)
    assert spans(day, "2024-03-30T00:00+01:00", "2024-04-02T00:00+02:00", "Europe/Prague") == [
        24, 23, 24,
    ]  # fmt: skip
    assert spans(day, "2024-10-26T00:00+02:00", "2024-10-29T00:00+01:00", "Europe/Prague") == [
        24, 25, 24,
    ]  # fmt: skip
    # Half an hour, and three quarters beside it.
    lord_howe = "Australia/Lord_Howe"
    assert spans(day, "2024-04-06T12:00Z", "2024-04-08T00:00Z", lord_howe) == [24, 24.5, 24]
    chatham = edges(day, ns("2024-06-01T00:00Z"), ns("2024-06-01T01:00Z"), zone("Pacific/Chatham"))
    assert chatham[0] == ns("2024-05-31T11:15Z")


def test_a_day_begins_when_there_is_no_midnight() -> None:
    """In São Paulo clocks went forward at midnight."""
    found = spans(Calendar(Unit.DAY), "2018-11-03T12:00Z", "2018-11-05T12:00Z", "America/Sao_Paulo")
    assert found == [24, 23, 24]


def test_a_day_that_was_left_out_is_no_window() -> None:
    """Samoa went from the 29th to the 31st of December 2011."""
    found = edges(
        Calendar(Unit.DAY), ns("2011-12-29T12:00Z"), ns("2012-01-01T12:00Z"), zone("Pacific/Apia")
    )
    assert np.diff(found).min() == 24 * HOUR
    assert len(found) == 5


def test_weeks_begin_on_monday_and_months_with_the_first() -> None:
    weeks = edges(Calendar(Unit.WEEK), ns("2024-03-06T00:00Z"), ns("2024-03-12T00:00Z"))
    assert weeks.tolist() == [ns(f"2024-03-{it}T00:00Z") for it in ("04", "11", "18")]
    months = spans(Calendar(Unit.MONTH), "2024-01-15T00:00Z", "2024-03-02T00:00Z")
    assert months == [31 * 24, 29 * 24, 31 * 24]
    assert spans(Calendar(Unit.QUARTER), "2024-02-15T00:00Z", "2024-04-01T00:00Z") == [91 * 24]
    assert spans(Calendar(Unit.YEAR, 2), "2023-02-15T00:00Z", "2024-06-01T00:00Z") == [
        730 * 24, 731 * 24,
    ]  # fmt: skip


def test_hours_in_a_zone_of_45_minutes_are_those_of_its_clock() -> None:
    found = edges(
        Fixed(HOUR), ns("2024-03-01T00:00Z"), ns("2024-03-01T03:00Z"), zone("Asia/Kathmandu")
    )
    assert found[0] == ns("2024-02-29T23:15Z")
    assert set(np.diff(found)) == {HOUR}
    assert len(found) == 5
    # The shorter day has an hour less.
    hours = spans(
        Fixed(5 * HOUR), "2024-03-31T00:00+01:00", "2024-04-01T00:00+02:00", "Europe/Prague"
    )
    assert hours == [5, 5, 5, 5, 3]


def test_a_fixed_width_counts_from_1970() -> None:
    found = edges(Fixed(7), -3, 20)
    assert found.tolist() == [-7, 0, 7, 14, 21]


@pytest.mark.parametrize(
    ("window", "start", "stop"),
    [
        (Fixed(0), 0, 10),
        (Fixed((1 << 52) + 1), 0, 10),
        (Fixed(1), 0, WINDOWS_MAX + 2),
        (Fixed(1), 10, 10),
        (Fixed(1), 0, 1 << 63),
        (Calendar(Unit.DAY, 0), 0, 10),
        (Calendar(Unit.DAY), -(1 << 63) + (1 << 52), 0),
        (Calendar(Unit.DAY), -(1 << 62), 1 << 62),
    ],
)
def test_what_are_no_windows_is_refused(window: Window, start: int, stop: int) -> None:
    with pytest.raises(BadWindow):
        edges(window, start, stop)


@pytest.mark.parametrize("unit", Unit)
@pytest.mark.parametrize("count", [290, 400, 5000, 10**8, 999_999_999_999_999])
@pytest.mark.parametrize("name", ["UTC", "Asia/Kathmandu"])
def test_a_window_that_is_longer_than_all_time_is_one(unit: Unit, count: int, name: str) -> None:
    """Its end, or its beginning, was of a year that no date has: nobody expected that error."""
    for start, stop in ((-(10**9), 10**9), (10**18, 10**18 + 1), (-(1 << 62), 1 << 60)):
        found = edges(Calendar(unit, count), start, stop, zone(name))
        assert TIME_MIN <= found[0] <= start < stop <= found[-1] <= TIME_STOP
        assert (found[:-1] < found[1:]).all()


@pytest.mark.parametrize("name", ["Nowhere/City", "../etc/passwd", "", "\0"])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(BadWindow):
        zone(name)


def test_every_day_of_thirty_years_is_found_once() -> None:
    tz = zone("America/New_York")
    found = edges(Calendar(Unit.DAY), ns("1990-01-01T12:00Z"), ns("2020-01-01T12:00Z"), tz)
    days = [datetime.fromtimestamp(it // 10**9, tz) for it in found.tolist()]
    assert all((it.hour, it.minute) == (0, 0) for it in days)
    dates = [it.date() for it in days]
    assert all(b - a == timedelta(days=1) for a, b in pairwise(dates))


@given(st.integers(1, 10**18), st.integers(1, 5000))
def test_a_window_of_its_own_choice_has_no_more_than_so_many(width: int, points: int) -> None:
    window = auto_window(0, width, points)
    if isinstance(window, Fixed):
        assert width // window.width_ns <= points
    elif window.unit is not Unit.YEAR:
        assert len(edges(window, 0, width)) <= points * 1.04 + 2


@pytest.mark.parametrize("window", [Calendar(Unit.DAY), Fixed(23 * HOUR)])
def test_many_days_are_found_in_steps(window: Window) -> None:
    tz, days = zone("Europe/Prague"), 10_000
    spent: list[int] = []

    async def spend(rows: int) -> None:
        spent.append(rows)

    found = asyncio.run(edges_in_turns(window, 0, days * 24 * HOUR, tz, spend))
    assert found.tolist() == edges(window, 0, days * 24 * HOUR, tz).tolist()
    assert len(spent) >= days // STEP_DAYS
