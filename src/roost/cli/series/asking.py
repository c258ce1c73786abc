"""What series there are, and what is in them: listed, asked for, drawn and followed."""

import sys
from typing import Any

import click

from roost.cli.exits import EXIT_FAILED
from roost.cli.interrupts import interruptible, leave_done
from roost.cli.plotting import COLUMNS_MAX, DOTS, ROWS_MAX, Line, drawn, plotter, screen_of
from roost.cli.series.shared import (
    connected,
    end_option,
    need,
    say_csv,
    say_point,
    shown,
    start_option,
    zone_of,
)
from roost.cli.shared import client_options, say_json, say_table
from roost.client import series as client
from roost.client.series.questions import WINDOWS_MAX

_csv = click.option("--csv", "as_csv", is_flag=True, help="CSV, with times as RFC 3339.")


@click.command("ls")
@click.option("--tag", default="", help="Those that have this tag or label, key:value.")
@click.option("--prefix", default="", help="Those whose names begin so.")
@click.option("--counts", is_flag=True, help="Count their points, too.")
@client_options
def list_series(
    endpoints: str, timeout_s: float, *, as_json: bool, tag: str, prefix: str, counts: bool
) -> None:
    r"""List series: names, tags, first and last times.

    \b
    Example:
        roost series ls --tag temp:C
    """
    with connected(endpoints, timeout_s) as connection:
        found = connection.listed(tag=tag, prefix=prefix, counts=counts)
    if as_json:
        for row in found:
            say_json(row)
        return
    heads = ["NAME", "TAGS", "FIRST", "LAST", *(["POINTS"] if counts else [])]
    rows = [
        [
            it["name"],
            " ".join(f"{key}:{value}" for key, value in it["tags"].items()),
            it["first"] or "",
            it["last"] or "",
            *([str(it["points"])] if counts else []),
        ]
        for it in found
    ]
    say_table([heads, *rows], right={4})


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--tag", "tags", multiple=True, help="Series with this tag; may be given again.")
@start_option
@end_option
@click.option("--window", default="", help="15m, 1h, 1d, 1w, 1mo, 1y; without one: the points.")
@click.option(
    "--points",
    type=click.IntRange(0, WINDOWS_MAX),
    default=0,
    help="A window of which there are so many at most.",
)
@click.option("--tz", default="", help="The zone of days and longer windows, as Europe/Prague.")
@click.option("--agg", default="mean", show_default=True, help="mean,max,min,count,p95,...")
@click.option("--fill", default="", help="In windows without numbers: null, previous, linear.")
@click.option("--group", default="", help="Series with one value of this tag are one.")
@_csv
@client_options
def query(
    names: tuple[str, ...],
    endpoints: str,
    timeout_s: float,
    *,
    as_json: bool,
    as_csv: bool,
    points: int,
    agg: str,
    **asked: Any,
) -> None:
    r"""Ask for points of series, or for windows of them.

    \b
    Example:
        roost series query sensor1.heat --start now-30d --end now --window 1d --agg max,mean
        roost series query --tag temp:C --points 100 --csv
    """
    need(names, asked["tags"])
    built = client.Asked(
        names=names,
        tags=asked["tags"],
        start=asked["start"],
        stop=asked["end"],
        width=asked["window"],
        tz=asked["tz"],
        aggregates=tuple(agg.split(",")) if asked["window"] or points else (),
        filling=asked["fill"],
        group=asked["group"],
        points=points,
    )
    with connected(endpoints, timeout_s) as connection:
        if as_csv:
            say_csv(connection, built)
            return
        answer = connection.fetch(built)
    if not answer.tables:
        text = "there is no such series, or nothing in that time: `roost series ls` shows all"
        click.echo(text, err=True)
        sys.exit(EXIT_FAILED)
    tz = zone_of(asked["tz"])
    for table in answer.tables:
        rows = zip(table.times, *table.columns.values(), strict=True)
        if as_json:
            heads = ["time", *table.columns]
            for row in rows:
                say_json({"series": table.name, **dict(zip(heads, row, strict=True))})
            continue
        cells = [[shown(at, tz), *("" if it is None else f"{it:g}" for it in rest)]
                 for at, *rest in rows]  # fmt: skip
        click.echo(table.name)
        say_table([["TIME", *map(str.upper, table.columns)], *cells],
                  right=range(1, 1 + len(table.columns)))  # fmt: skip


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--tag", "tags", multiple=True, help="Series with this tag; may be given again.")
@start_option
@end_option
@click.option(
    "--window", default="", help="15m, 1h, 1d, 1w, 1mo, 1y; without one: as wide as fits."
)
@click.option("--tz", default="", help="The zone of days and longer windows, as Europe/Prague.")
@click.option("--agg", default="mean", show_default=True, help="mean, max, min, count, p95, ...")
@click.option("--group", default="", help="Series with one value of this tag are one.")
@click.option("--width", type=click.IntRange(20, COLUMNS_MAX), help="Columns of the plot.")
@click.option("--height", type=click.IntRange(8, ROWS_MAX), help="Rows of the plot.")
@client_options
def plot(
    names: tuple[str, ...],
    endpoints: str,
    timeout_s: float,
    *,
    as_json: bool,
    window: str,
    agg: str,
    width: int | None,
    height: int | None,
    **asked: Any,
) -> None:
    r"""Draw series in the terminal, a line each; needs `pip install "roost[plot]"`.

    With --json the numbers that would be drawn are printed.

    \b
    Example:
        roost series plot sensor1.heat --start now-30d --end now
        roost series plot --tag temp:C --window 1d --agg max
    """
    need(names, asked["tags"])
    plotext = None if as_json else plotter()
    screen = screen_of(width or 0, height or 0)
    built = client.Asked(
        names=names,
        tags=asked["tags"],
        start=asked["start"],
        stop=asked["end"],
        width=window,
        tz=asked["tz"],
        aggregates=tuple(agg.split(",")),
        group=asked["group"],
        points=0 if window else screen.columns * DOTS,
    )
    with connected(endpoints, timeout_s) as connection:
        answer = connection.fetch(built)
    lines = [
        Line(table.name if len(table.columns) == 1 else f"{table.name} {name}", table.times, values)
        for table in answer.tables
        for name, values in table.columns.items()
    ]
    if plotext is None:
        for it in lines:
            for at, value in zip(it.times, it.values, strict=True):
                say_point(it.name, at, value)
    elif not any(len(it.times) for it in lines):
        raise click.ClickException("there are no points to draw: see `roost series ls`")
    else:
        click.echo(drawn(plotext, lines, screen, is_colored=sys.stdout.isatty()))


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--tag", default="", help="Those that have this tag or label, key:value.")
@client_options
def tail(
    names: tuple[str, ...], endpoints: str, timeout_s: float, *, as_json: bool, tag: str
) -> None:
    r"""Print points of series as they come, until interrupted.

    \b
    Example:
        roost series tail sensor1.heat
        roost series tail --tag temp:C --json
    """
    need(names, (tag,) if tag else ())
    with interruptible(leave_done), connected(endpoints, timeout_s) as connection:
        for it in connection.tail(*names, tag=tag):
            if it.has_missed:
                click.echo("some were missed", err=True)
            for at, value in zip(it.times, it.values, strict=True):
                if as_json:
                    say_point(it.name, at, value)
                else:
                    click.echo(f"{shown(at)}\t{it.name}\t{'' if value is None else f'{value:g}'}")


@click.command()
@client_options
def stats(endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Say how many points are staged, and what the member that answers has done.

    \b
    Example:
        roost series stats
    """
    with connected(endpoints, timeout_s) as connection:
        found = connection.statistics()
    if as_json:
        say_json(found)
    else:
        say_table([[name, str(value)] for name, value in found.items()], right={1})
