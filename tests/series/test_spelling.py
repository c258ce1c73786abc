"""Names, moments and windows as people write them: read, written, and refused."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.series.errors import BadPoints, BadSeries, BadWindow
from roost.series.extra import np
from roost.series.names import Info, Tag, labels
from roost.series.spelling import (
    Precision,
    parse_duration,
    parse_series,
    parse_time,
    parse_window,
    precision,
    series_text,
    time_texts,
)
from roost.series.tables import TIME_MIN, TIME_STOP
from roost.series.windows import Calendar, Fixed, Unit

NOW = 1_700_000_000_123_456_789
texts = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1, max_size=9)
names = texts.filter(lambda it: "{" not in it)
keys = st.from_regex(r"[^=,{}\"\s\x00-\x1f]+", fullmatch=True).filter(
    lambda it: it == it.strip() and len(it.encode()) < 200
)


@given(names, st.dictionaries(keys, texts, max_size=4))
def test_a_series_is_read_as_it_was_written(name: str, given_labels: dict[str, str]) -> None:
    held = labels(Tag(key, value) for key, value in given_labels.items())
    assert parse_series(series_text(name, held)) == Info(name, held)


@pytest.mark.parametrize(
    "text",
    ["", "a{", "a{b}", "a{b=c", "a{b=c}d", 'a{b="c}', "{b=c}", "a{b=c,}", "a{b=c,b=d}", "a\nb",
     'a{b="\\q"}', "x" * 513, "a{b=" + " " * 60_000, "a{" + " " * 60_000 + "b=c",
     "a{b" + " " * 60_000 + "c=d}", 'a{b="' + "\\\\" * 30_000, "a{b=" + "c" * 70_000 + "}"],
)  # fmt: skip
def test_what_is_no_series_is_refused(text: str) -> None:
    with pytest.raises(BadSeries):
        parse_series(text)


def test_spaces_around_labels_are_none_of_theirs() -> None:
    held = Info("a", labels([Tag("b", "c d"), Tag("e", ' "f" ')]))
    assert parse_series('a{ b = c d ,\te= " \\"f\\" " }') == held


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01", 0),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T01:00:00.000000001+01:00", 1),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("17", 17),
        ("-17", -17),
        ("now", NOW),
        ("now-1h", NOW - 3600 * 10**9),
    ],
)
def test_a_moment_is_to_the_nanosecond(text: str, expected: int) -> None:
    assert parse_time(text, NOW) == expected


def test_a_moment_without_a_zone_is_of_the_one_that_is_asked_for() -> None:
    prague = ZoneInfo("Europe/Prague")
    assert parse_time("2024-03-01T00:00:00", NOW, Precision.NS, prague) == parse_time(
        "2024-02-29T23:00:00Z", NOW
    )
    assert parse_time("3", NOW, Precision.MS) == 3_000_000


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2024-13-01", "2024-02-30T00:00:00Z", "1200-01-01", "now-", "now+1h",
     "nowhere", "9" * 19, "2024-03-01T00:00:00+99:99", "2024-03-01T25:00:00Z"],
)  # fmt: skip
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(BadWindow):
        parse_time(text, NOW)


@given(st.integers(TIME_MIN, TIME_STOP - 1))
def test_a_time_is_read_as_it_was_shown(time: int) -> None:
    times = np.array([time])
    for zone in (UTC, ZoneInfo("Asia/Kathmandu")):
        (shown,) = time_texts(times, zone)
        if datetime.fromisoformat(str(shown)[:19]).year > 1920:  # before, offsets have seconds
            assert parse_time(str(shown), NOW) == time
    assert time_texts(times, UTC, Precision.S) == [time // 10**9]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("15m", Fixed(900 * 10**9)),
        ("h", Fixed(3600 * 10**9)),
        ("250ms", Fixed(250 * 10**6)),
        ("1d", Calendar(Unit.DAY)),
        ("2w", Calendar(Unit.WEEK, 2)),
        ("1mo", Calendar(Unit.MONTH)),
        ("q", Calendar(Unit.QUARTER)),
        ("1y", Calendar(Unit.YEAR)),
    ],
)
def test_windows(text: str, expected: Any) -> None:
    assert parse_window(text) == expected


@pytest.mark.parametrize("text", ["", "0m", "m15", "1 h", "-1h", "1.5h", "5 apples"])
def test_what_is_no_window_or_duration_is_refused(text: str) -> None:
    with pytest.raises(BadWindow):
        parse_window(text)
    with pytest.raises(BadWindow):
        parse_duration(text)


def test_months_have_no_length_and_days_have() -> None:
    with pytest.raises(BadWindow):
        parse_duration("1mo")
    assert parse_duration("30d") == 30 * 86_400 * 10**9


def test_units_are_those_of_influx_clients() -> None:
    assert [precision(it) for it in ("", "ns", "u", "ms", "s")] == [
        Precision.NS, Precision.NS, Precision.US, Precision.MS, Precision.S
    ]  # fmt: skip
    with pytest.raises(BadPoints):
        precision("day")


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (parse_series, parse_window, parse_duration, precision):
        try:
            read(text)
        except (BadSeries, BadWindow, BadPoints):
            continue
    try:
        parse_time(text, NOW)
    except BadWindow:
        pass  # refused, as it should be
