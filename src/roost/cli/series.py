"""`roost series`: time series from the command line."""

import csv
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TextIO

import click

from roost.cli.interrupts import interruptible, leave_done
from roost.cli.plotting import COLUMNS_MAX, DOTS, ROWS_MAX, Line, drawn, plotter, size_of
from roost.cli.shared import client_options, credentials, failed, say_json, say_table
from roost.client import series as client
from roost.client.series.points import nanoseconds
from roost.client.series.questions import WINDOWS_MAX
from roost.client.series.requests import JOB_LOOK_S
from roost.errors import RoostError

_name = click.argument("name", metavar="NAME")
_csv = click.option("--csv", "as_csv", is_flag=True, help="CSV, with times as RFC 3339.")
_start = click.option("--start", default="", help="From this time: RFC 3339, now-1h, nanoseconds.")
_end = click.option("--end", default="", help="To before this time.")
# Signs of a file between two looks at how far it is.
_STEP_SIGNS = 1 << 20


@click.group()
def series() -> None:
    """Add points to time series, ask for them, and keep them for as long as they are wanted."""


@contextmanager
def _connected(endpoints: str, timeout_s: float) -> Iterator[client.Connection]:
    """A connection whose errors become one line and an exit code."""
    try:
        with client.connect(
            endpoints,
            wait_for_server_flush=True,
            credentials=credentials(),
            timeout_s=timeout_s,
        ) as connection:
            yield connection
    except (RoostError, OSError) as error:
        raise failed(error) from error


def _need(names: tuple[str, ...], tags: tuple[str, ...]) -> None:
    if not names and not tags:
        raise click.UsageError("say which series: NAME, or --tag")


def _time(text: str) -> int:
    """A time that is sent with a point.

    Raises:
        UsageError: it is none.

    """
    try:
        if text == "now":
            return nanoseconds(datetime.now(UTC))
        if text.lstrip("-").isdigit():
            return int(text)
        moment = datetime.fromisoformat(text)
        return nanoseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except ValueError as error:
        raise click.UsageError(
            f"{text!r} is no time: 2024-03-01T00:00:00Z, nanoseconds since 1970, or now"
        ) from error


def _shown(time_ns: Any) -> str:
    """A time for people."""
    whole, rest = divmod(int(time_ns), 10**9)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:09d}".rstrip("0") + "Z" if rest else f"{text}Z"


@series.command("ls")
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
    with _connected(endpoints, timeout_s) as connection:
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


@series.command()
@_name
@click.argument("tags", nargs=-1, metavar="[TAG]...")
@click.option("--remove", multiple=True, help="A tag to take away; may be given again.")
@client_options
def tag(
    name: str,
    tags: tuple[str, ...],
    endpoints: str,
    timeout_s: float,
    *,
    as_json: bool,
    remove: tuple[str, ...],
) -> None:
    r"""Put tags on a series, key:value, and print those that it has.

    \b
    Example:
        roost series tag sensor1.heat temp:C room:12
    """
    with _connected(endpoints, timeout_s) as connection:
        found = connection.tag(name, add=tags, remove=remove)
    if as_json:
        say_json({"name": name, "tags": found})
    else:
        click.echo(" ".join(f"{key}:{value}" for key, value in found.items()))


@series.command()
@_name
@click.argument("value", type=float)
@click.option("--time", "at", default="now", show_default=True, help="When it was.")
@client_options
def add(
    name: str, value: float, endpoints: str, timeout_s: float, *, as_json: bool, at: str
) -> None:
    r"""Add a point; it is durable on a majority when this ends.

    \b
    Example:
        roost series add sensor1.heat 21.5
        roost series add sensor1.heat --time 2024-03-01T00:00:00Z -- -3
    """
    time_ns = _time(at)
    with _connected(endpoints, timeout_s) as connection:
        connection.add(name, time_ns, value)
    if as_json:
        say_json({"name": name, "time": time_ns, "value": value})


@series.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--tag", "tags", multiple=True, help="Series with this tag; may be given again.")
@_start
@_end
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
    _need(names, asked["tags"])
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
    with _connected(endpoints, timeout_s) as connection:
        if as_csv:
            sys.stdout.write(connection.csv(built).decode().replace("\r\n", "\n"))
            return
        answer = connection.fetch(built)
    for table in answer.tables:
        rows = zip(table.times, *table.columns.values(), strict=True)
        if as_json:
            heads = ["time", *table.columns]
            for row in rows:
                say_json({"series": table.name, **dict(zip(heads, row, strict=True))})
            continue
        cells = [[_shown(at), *("" if it is None else f"{it:g}" for it in rest)]
                 for at, *rest in rows]  # fmt: skip
        click.echo(table.name)
        say_table([["TIME", *map(str.upper, table.columns)], *cells],
                  right=range(1, 1 + len(table.columns)))  # fmt: skip


@series.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--tag", "tags", multiple=True, help="Series with this tag; may be given again.")
@_start
@_end
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
    _need(names, asked["tags"])
    plotext = None if as_json else plotter()
    size = size_of(width or 0, height or 0)
    built = client.Asked(
        names=names,
        tags=asked["tags"],
        start=asked["start"],
        stop=asked["end"],
        width=window,
        tz=asked["tz"],
        aggregates=tuple(agg.split(",")),
        group=asked["group"],
        points=0 if window else size.columns * DOTS,
    )
    with _connected(endpoints, timeout_s) as connection:
        answer = connection.fetch(built)
    lines = [
        Line(table.name if len(table.columns) == 1 else f"{table.name} {name}", table.times, values)
        for table in answer.tables
        for name, values in table.columns.items()
    ]
    if plotext is None:
        for it in lines:
            for at, value in zip(it.times, it.values, strict=True):
                say_json({"series": it.name, "time": at, "value": value})
    elif not any(len(it.times) for it in lines):
        raise click.ClickException("there are no points to draw: see `roost series ls`")
    else:
        click.echo(drawn(plotext, lines, size, is_colored=sys.stdout.isatty()))


@series.command()
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
    _need(names, (tag,) if tag else ())
    with interruptible(leave_done), _connected(endpoints, timeout_s) as connection:
        for it in connection.tail(*names, tag=tag):
            if it.has_missed:
                click.echo("some were missed", err=True)
            for at, value in zip(it.times, it.values, strict=True):
                if as_json:
                    say_json({"series": it.name, "time": at, "value": value})
                else:
                    click.echo(f"{_shown(at)}\t{it.name}\t{'' if value is None else f'{value:g}'}")


@series.command()
@click.argument("name", metavar="[NAME]", default="")
@click.option("--tag", default="", help="Of all series that have this tag or label, key:value.")
@_start
@_end
@click.option("--all", "is_all", is_flag=True, help="The series itself, with all that it has.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--no-wait", is_flag=True, help="Of many series: say the job, and go.")
@client_options
def delete(
    name: str,
    endpoints: str,
    timeout_s: float,
    *,
    as_json: bool,
    tag: str,
    start: str,
    end: str,
    is_all: bool,
    yes: bool,
    no_wait: bool,
) -> None:
    r"""Delete a range of series, or one series; says how many points that is, and asks.

    Of more than 500 series it is a job, which goes on when this is interrupted: roost series jobs.

    \b
    Example:
        roost series delete sensor1.heat --start 2024-03-01 --end 2024-03-02
        roost series delete --tag temp:C --start 2020-01-01 --end 2021-01-01
    """
    _need((name,) if name else (), (tag,) if tag else ())
    if is_all == bool(start and end) or (is_all and not name):
        raise click.UsageError("say --start and --end, or NAME and --all")
    if is_all and tag:
        raise click.UsageError("--all is of one series, NAME")
    with _connected(endpoints, timeout_s) as connection:
        span = ("1678-01-01", "2261-12-31") if is_all else (start, end)
        count = connection.delete(name, *span, tag=tag, dry_run=True)
        if not yes:
            click.confirm(f"Delete {count} points of {name or tag}?", abort=True, err=True)
        if is_all:
            connection.delete_series(name)
            said: dict[str, Any] = {"deleted": count}
        else:
            said = connection.begin_delete(name, start, end, tag=tag)
            if "job" in said and not no_wait:
                said = _waited(connection, said)
    if as_json:
        say_json(said if "job" in said else {"name": name or tag, "deleted": said["deleted"]})
    elif said.get("state", "done") == "done":
        click.echo(f"{said['deleted']} points deleted")
    else:
        click.echo(f"job {said['job']} is {said['state']}: {said['deleted']} points deleted")


def _waited(connection: client.Connection, said: dict[str, Any]) -> dict[str, Any]:
    """Show how far a job is, until it is over; what it is then."""
    is_seen = sys.stderr.isatty()
    while said["state"] == "running":
        time.sleep(JOB_LOOK_S)
        said = connection.job(said["job"])
        if is_seen:
            done = f"{said['series_done']} of {said['series']} series"
            click.echo(f"\rjob {said['job']}: {done}", err=True, nl=False)
    if is_seen:
        click.echo("", err=True)
    return said


@series.command()
@click.option("--cancel", type=click.IntRange(1), help="Delete no more by this job.")
@client_options
def jobs(endpoints: str, timeout_s: float, *, as_json: bool, cancel: int | None) -> None:
    r"""List deletions of many series, and how far they are; or cancel one.

    \b
    Example:
        roost series jobs
        roost series jobs --cancel 7
    """
    with _connected(endpoints, timeout_s) as connection:
        found = connection.jobs() if cancel is None else [connection.cancel_job(cancel)]
    if as_json:
        for row in found:
            say_json(row)
        return
    heads = ["JOB", "STATE", "SERIES", "DONE", "POINTS", "DELETED", "OF"]
    rows = [
        [
            *(str(it[key]) for key in ("job", "state", "series", "series_done", "points")),
            str(it["deleted"]),
            " ".join([*it["names"], *it["tags"], f"{it['start']}..{it['end']}"]),
        ]
        for it in found
    ]
    say_table([heads, *rows], right={0, 2, 3, 4, 5})


@series.command()
@click.argument("keep", required=False)
@click.option("--series", "name", default="", help="Of this series.")
@click.option("--tag", default="", help="Of all series that have this tag.")
@click.option("--sums", default="", help="For how long sums of them are kept: 1800d, or forever.")
@client_options
def retain(
    keep: str | None,
    endpoints: str,
    timeout_s: float,
    *,
    as_json: bool,
    name: str,
    tag: str,
    sums: str,
) -> None:
    r"""Keep points for so long, 30d or 12h, or `forever`; without KEEP list the rules.

    With --sums windows of a quarter of an hour and longer are answered for longer than points are
    kept.

    \b
    Example:
        roost series retain 90d --tag temp:C
        roost series retain 30d --sums forever --tag temp:C
        roost series retain
    """
    if sums and keep in (None, "forever"):
        raise click.UsageError("--sums is for longer than points are kept: say KEEP, as 30d")
    with _connected(endpoints, timeout_s) as connection:
        if keep is not None:
            keep = None if keep == "forever" else keep
            connection.retain(keep, series=name, tag=tag, sums=sums)
        rules = connection.rules()
    for rule in rules:
        if as_json:
            say_json(rule)
        else:
            target = f"series {rule['series']}" if "series" in rule else f"tag {rule['tag']}"
            click.echo(f"{target}\t{rule['keep_s']:g} s{_sums(rule)}")


def _sums(rule: dict[str, Any]) -> str:
    """For how long sums are kept, if that is longer."""
    if "sums_s" not in rule:
        return ""
    return ", sums " + ("forever" if rule["sums_s"] is None else f"{rule['sums_s']:g} s")


@series.command()
@client_options
def stats(endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Say how many points are staged, and what the member that answers has done.

    \b
    Example:
        roost series stats
    """
    with _connected(endpoints, timeout_s) as connection:
        found = connection.statistics()
    if as_json:
        say_json(found)
    else:
        say_table([[name, str(value)] for name, value in found.items()], right={1})


@series.command("import")
@click.argument("file", type=click.File())
@click.option("--name", default="", help="The series, where the file has no column for it.")
@client_options
def import_points(
    file: TextIO, endpoints: str, timeout_s: float, *, as_json: bool, name: str
) -> None:
    r"""Read points from a CSV file: columns series, time, value, as export writes them.

    With --name the columns are time and value.  All is durable when this ends; a line that is none
    ends it, and what stands before that may be there.

    \b
    Example:
        roost series import points.csv
    """
    count = 0
    with _connected(endpoints, timeout_s) as connection, _progress(file) as lines:
        for row in csv.DictReader(lines):
            target = name or row.get("series") or ""
            at, value = row.get("time") or "", row.get("value") or ""
            if not target or not at:
                raise click.ClickException(f"row {count + 1}: columns are series, time and value")
            if value:
                try:
                    connection.add(target, _time(at), float(value))
                except ValueError as error:
                    raise click.ClickException(f"row {count + 1}: {error}") from error
            count += 1
    if as_json:
        say_json({"imported": count})
    else:
        click.echo(f"{count} rows imported")


@contextmanager
def _progress(file: TextIO) -> Iterator[Iterator[str]]:
    """Lines of a file, with a bar that says how much of it was read; only people see it."""
    if not sys.stderr.isatty():
        yield iter(file)
        return
    about = os.fstat(file.fileno())
    size = about.st_size if stat.S_ISREG(about.st_mode) else 0
    with click.progressbar(
        length=size, label=file.name, file=sys.stderr, show_pos=not size, width=30
    ) as bar:
        yield _counted(file, bar.update)
        bar.finish()


def _counted(file: TextIO, advance: Callable[[int], None]) -> Iterator[str]:
    """Lines, of which somebody is told now and then how many signs they were."""
    held = 0
    for line in file:
        held += len(line)
        if held >= _STEP_SIGNS:
            advance(held)
            held = 0
        yield line


@series.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--tag", "tags", multiple=True, help="Series with this tag; may be given again.")
@_start
@_end
@click.option("--parquet", "folder", default="", help="Into this folder, as files of Parquet.")
@click.option("--by", default="", help="Of Parquet: a folder for each value of this tag, too.")
@click.option(
    "--every",
    type=click.Choice(["day", "month"]),
    default="month",
    show_default=True,
    help="Of Parquet: how much time is in a file.",
)
@click.option(
    "--settled-days",
    type=click.IntRange(0, 36_500),
    default=1,
    show_default=True,
    help="Of Parquet: a file is written when its time is over for so long.",
)
@click.option("--mirror", is_flag=True, help="Of Parquet: follow deletions, too.")
@client_options
def export(
    names: tuple[str, ...],
    endpoints: str,
    timeout_s: float,
    *,
    as_json: bool,
    tags: tuple[str, ...],
    start: str,
    end: str,
    folder: str,
    **how: Any,
) -> None:
    r"""Write points as CSV: series, time, value; with --json as one object a line.

    With --parquet into a folder, a file for each month, as DuckDB, Polars and Spark read them.
    Run again it writes what is new or has changed, and what was stopped goes on.

    \b
    Example:
        roost series export sensor1.heat > points.csv
        roost series export --tag temp:C --by room --parquet archive
    """
    if folder:
        if start or end:
            raise click.UsageError("--parquet has whole months or days: no --start, no --end")
        with _connected(endpoints, timeout_s) as connection:
            _say_files(_files(connection, folder, names, tags, how), as_json=as_json)
        return
    _need(names, tags)
    asked = client.Asked(names=names, tags=tags, start=start, stop=end)
    with _connected(endpoints, timeout_s) as connection:
        if not as_json:
            sys.stdout.write(connection.csv(asked).decode().replace("\r\n", "\n"))
            return
        answer = connection.fetch(asked)
    for table in answer.tables:
        for at, value in zip(table.times, table.columns["value"], strict=True):
            say_json({"series": table.name, "time": at, "value": value})


def _files(
    connection: client.Connection,
    folder: str,
    names: tuple[str, ...],
    tags: tuple[str, ...],
    how: dict[str, Any],
) -> Iterator[client.Exported]:
    """Export into a folder; each file as it is done."""
    until = datetime.now(UTC) - timedelta(days=how["settled_days"])
    yield from client.export(
        connection,
        folder,
        *names,
        tags=tags,
        by=how["by"],
        every=client.Every[how["every"].upper()],
        until_ns=nanoseconds(until),
        mirrors=how["mirror"],
    )


def _say_files(files: Iterator[client.Exported], *, as_json: bool) -> None:
    """Say what becomes of each, and at the end how many."""
    counts = dict.fromkeys(client.State, 0)
    for it in files:
        counts[it.state] += 1
        if as_json:
            say_json({"path": it.path, "state": it.state.value, "rows": it.rows})
        elif it.state is not client.State.UNCHANGED:
            click.echo(f"{it.place}/{it.total}\t{it.path}\t{it.state.value}\t{it.rows} rows")
    if not as_json:
        click.echo(", ".join(f"{count} {state.value}" for state, count in counts.items()))
