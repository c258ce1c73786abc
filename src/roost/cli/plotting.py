"""Lines of numbers drawn in a terminal, by plotext, of the extra `roost[plot]`."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

from roost.extras import command_for

# A terminal that is as large as that shows no more by being larger.
COLUMNS_MAX, ROWS_MAX, ROWS_DEFAULT = 400, 200, 24
# Dots that a cell of the terminal has side by side.
DOTS = 2
_COLORS = ("cyan", "orange", "green", "magenta", "red", "blue", "gray")
_TICK_COLUMNS = 24
_SECOND_NS = 10**9


@dataclass(frozen=True, slots=True)
class Line:
    """Numbers over time; times are nanoseconds, and None is no number."""

    name: str
    times: Sequence[int]
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Screen:
    """Columns and rows of a terminal."""

    columns: int
    rows: int


def screen_of(columns: int, rows: int) -> Screen:
    """What is asked for; 0 is what the terminal has."""
    has = shutil.get_terminal_size((80, ROWS_DEFAULT))
    found_rows = rows or min(has.lines - 2, ROWS_DEFAULT)
    return Screen(min(columns or has.columns, COLUMNS_MAX), max(8, min(found_rows, ROWS_MAX)))


def plotter() -> Any:  # Any: plotext has no types
    """What draws.

    Raises:
        ClickException: it is not installed.

    """
    try:
        import plotext
    except ImportError as error:
        raise click.ClickException(
            f"plots need plotext, which is not installed: {command_for('plot')}"
        ) from error
    return plotext


def drawn(plot: Any, lines: Sequence[Line], screen: Screen, *, is_colored: bool) -> str:
    """Lines as text; those without a number are named and not drawn."""
    plot.clear_figure()
    plot.theme("clear")
    plot.plotsize(screen.columns, screen.rows)
    times: list[int] = []
    for place, line in enumerate(lines):
        held = [(at, it) for at, it in zip(line.times, line.values, strict=True) if it is not None]
        times += [at for at, _ in held]
        seconds, values = [at / _SECOND_NS for at, _ in held], [it for _, it in held]
        color = _COLORS[place % len(_COLORS)]
        plot.plot(seconds, values, label=line.name, marker="braille", color=color)
    if times:
        ticks = _ticks(min(times), max(times), screen.columns)
        plot.xticks([it / _SECOND_NS for it in ticks], [_shown(it, times) for it in ticks])
    text = str(plot.build())
    return text if is_colored else str(plot.uncolorize(text))


def _ticks(first: int, last: int, columns: int) -> list[int]:
    count = max(1, columns // _TICK_COLUMNS)
    return sorted({first + (last - first) * it // count for it in range(count + 1)})


def _shown(time_ns: int, times: Sequence[int]) -> str:
    """A moment, as exactly as it says something among others."""
    moment = datetime.fromtimestamp(time_ns / _SECOND_NS, UTC)
    span_s = (max(times) - min(times)) / _SECOND_NS
    if span_s > 5 * 86_400:
        return moment.strftime("%Y-%m-%d")
    return moment.strftime("%m-%d %H:%M" if span_s > 600 else "%H:%M:%S")
