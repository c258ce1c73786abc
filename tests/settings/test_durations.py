"""Durations as Go writes them: all that it reads, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.settings import BadSetting
from roost.settings.durations import parse_duration, write_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("1.5s", 1.5),
        (".5s", 0.5),
        ("1.s", 1),
        ("1m1m", 120),
        ("3us", 3e-6),
        ("3µs", 3e-6),
        ("7ns", 7e-9),
    ],
)
def test_what_go_reads_is_read(text: str, seconds: float) -> None:
    assert parse_duration("flag", text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "1", "-1s", "1 s", "s", "1d", "1S", "1s ", "1.1.1s", "1e3s"])
def test_what_is_none_is_refused_with_its_flag(text: str) -> None:
    with pytest.raises(BadSetting, match="--flag="):
        parse_duration("flag", text)


@given(st.integers(1, 10**7))
def test_what_is_written_is_read_as_it_was(seconds: int) -> None:
    assert parse_duration("flag", write_duration(seconds)) == seconds


def test_the_largest_unit_that_is_whole_is_written() -> None:
    assert [write_duration(it) for it in (7200, 5400, 61)] == ["2h", "90m", "61s"]
