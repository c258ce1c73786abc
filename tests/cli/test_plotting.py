"""Lines in a terminal, and what is said where the package that draws them is not there."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from roost.cli.plotting import COLUMNS_MAX, Line, Screen, drawn, plotter, screen_of
from roost.testing.cluster import Cluster
from tests.cli.test_client_commands import Shell

SECOND = 10**9
BEGIN = 1_709_251_200 * SECOND


def text(*lines: Line, size: Screen | None = None, is_colored: bool = False) -> str:
    pytest.importorskip("plotext")
    return drawn(plotter(), lines, size or Screen(80, 16), is_colored=is_colored)


def test_lines_have_their_names_values_and_days() -> None:
    times = [BEGIN + it * 86_400 * SECOND for it in range(30)]
    found = text(Line("heat", times, [float(it) for it in range(30)]),
                 Line("cold{room=1}", times, [-1.0] * 15 + [None] * 15))  # fmt: skip
    rows = found.splitlines()
    assert len(rows) == 16
    assert max(map(len, rows)) <= 80
    assert "heat" in found
    assert "cold{room=1}" in found
    assert re.search(r"29(\.0+)?┤", found)
    assert "2024-03-01" in rows[-1]
    assert any("⠀" < sign <= "⣿" for sign in found)


def test_short_times_are_hours_and_seconds() -> None:
    hours = text(Line("a", [BEGIN, BEGIN + 7200 * SECOND], [1.0, 2.0]))
    assert "03-01 00:00" in hours
    seconds = text(Line("a", [BEGIN, BEGIN + 30 * SECOND], [1.0, 2.0]))
    assert "00:00:30" in seconds
    one = text(Line("a", [BEGIN], [1.0]))
    assert "00:00:00" in one


def test_colors_are_for_terminals_only() -> None:
    line = Line("a", [BEGIN, BEGIN + SECOND], [1.0, 2.0])
    assert "\x1b[" in text(line, is_colored=True)
    assert "\x1b[" not in text(line)


def test_a_plot_is_as_large_as_asked_or_as_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("LINES", "20")
    assert screen_of(0, 0) == Screen(100, 18)
    assert screen_of(50, 30) == Screen(50, 30)
    monkeypatch.setenv("COLUMNS", "10000")
    assert screen_of(0, 0).columns == COLUMNS_MAX


def test_what_is_missing_is_said_with_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotext", None)
    with pytest.raises(click.ClickException) as refused:
        plotter()
    assert "pip install 'roost[plot]'" in refused.value.message


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with Cluster(tmp_path, 1) as started:
        started.leader()
        yield Shell(started.endpoints[0])


@pytest.mark.slow
@pytest.mark.cluster
def test_series_are_drawn(shell: Shell) -> None:
    pytest.importorskip("plotext")
    assert "there are no points" in shell.run("series", "plot", "heat", code=1)
    for at, value in (("2024-03-01", "1"), ("2024-03-02", "5"), ("2024-03-03", "2")):
        shell.run("series", "add", "heat", value, "--time", f"{at}T00:00:00Z")
    found = shell.run("series", "plot", "heat", "--width", "60", "--height", "12")
    assert "heat" in found
    assert re.search(r"5(\.0+)?┤", found)
    assert len(found.rstrip("\n").splitlines()) == 12
    rows = shell.run("series", "plot", "heat", "--window", "1d", "--agg", "max,count", "--json")
    assert json.loads(rows.splitlines()[1]) == {
        "series": "heat max", "time": BEGIN + 86_400 * SECOND, "value": 5.0
    }  # fmt: skip
    assert len(rows.splitlines()) == 6
