"""Points from files and into them: CSV, and folders of Parquet."""

import csv
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TextIO

import click

from roost.cli.progress import progress
from roost.cli.series.shared import (
    connected,
    end_option,
    say_csv,
    say_point,
    start_option,
    time_of,
)
from roost.cli.shared import client_options, say_json
from roost.client import series as client
from roost.client.series.points import nanoseconds

# Signs of a file between two looks at how far it is.
_STEP_SIGNS = 1 << 20


@click.command("import")
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
    with connected(endpoints, timeout_s) as connection, _progress(file, as_json=as_json) as lines:
        for row in csv.DictReader(lines):
            target = name or row.get("series") or ""
            at, value = row.get("time") or "", row.get("value") or ""
            if not target or not at:
                raise click.ClickException(f"row {count + 1}: columns are series, time and value")
            if value:
                try:
                    connection.add(target, time_of(at), float(value))
                except click.UsageError as error:
                    raise click.ClickException(f"row {count + 1}: {error.message}") from error
                except (ValueError, client.BadPoint) as error:
                    raise click.ClickException(f"row {count + 1}: {error}") from error
            count += 1
    if as_json:
        say_json({"imported": count})
    else:
        click.echo(f"{count} rows imported")


@contextmanager
def _progress(file: TextIO, *, as_json: bool) -> Iterator[Iterator[str]]:
    """Lines of a file, with a bar that says how much of it was read; only people see it."""
    about = os.fstat(file.fileno())
    size = about.st_size if stat.S_ISREG(about.st_mode) else 0
    with progress(f"reading {file.name}", as_json=as_json, total=size) as shown:
        yield _counted(file, shown.add)


def _counted(file: TextIO, advance: Callable[[int], None]) -> Iterator[str]:
    """Lines, of which somebody is told now and then how many signs they were."""
    held = 0
    for line in file:
        held += len(line)
        if held >= _STEP_SIGNS:
            advance(held)
            held = 0
        yield line


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--tag", "tags", multiple=True, help="Series with this tag; may be given again.")
@start_option
@end_option
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

    Without names and tags it is all series.  With --parquet into a folder, a file for each month,
    as DuckDB, Polars and Spark read them.  Run again it writes what is new or has changed, and what
    was stopped goes on.

    \b
    Example:
        roost series export sensor1.heat > points.csv
        roost series export > all.csv
        roost series export --tag temp:C --by room --parquet archive
    """
    if folder:
        if start or end:
            raise click.UsageError("--parquet has whole months or days: no --start, no --end")
        with connected(endpoints, timeout_s) as connection:
            count = _say_files(_files(connection, folder, names, tags, how), as_json=as_json)
        if not count:
            click.echo(_why_nothing(how), err=as_json)
        return
    with connected(endpoints, timeout_s) as connection:
        # Of all series, one name after the other: nobody holds all points at once.
        groups = [(it,) for it in _all_names(connection)] if not names and not tags else [names]
        for number, group in enumerate(groups):
            asked = client.Asked(names=group, tags=tags, start=start, stop=end)
            if as_json:
                _say_points(connection.fetch(asked))
            else:
                say_csv(connection, asked, with_head=not number)


def _all_names(connection: client.Connection) -> list[str]:
    """Names of series without their labels, each once: who asks for one is given all of its."""
    return list(dict.fromkeys(it["name"].partition("{")[0] for it in connection.listed()))


def _say_points(answer: client.Answer) -> None:
    for table in answer.tables:
        for at, value in zip(table.times, table.columns["value"], strict=True):
            say_point(table.name, at, value)


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


def _why_nothing(how: dict[str, Any]) -> str:
    """What is said where there is no file to write: most often the points are too young."""
    every, days = how["every"], how["settled_days"]
    until = datetime.now(UTC) - timedelta(days=days)
    until = until.replace(hour=0, minute=0, second=0, microsecond=0)
    if every == "month":
        until = until.replace(day=1)
    over = f"over for {days} days" if days else "over"
    ways = ["--settled-days 0"] if days else []
    ways += ["--every day"] if every == "month" else []
    hint = f" ({', '.join(ways)} for later ones)" if ways else ""
    return (
        f"nothing to write: what is asked for has no point before {until:%Y-%m-%d}, and a {every}"
        f" is written when it is {over}{hint}; `roost series ls` shows what there is"
    )


def _say_files(files: Iterator[client.Exported], *, as_json: bool) -> int:
    """Say what becomes of each, and at the end how many; which is also given back."""
    counts = dict.fromkeys(client.State, 0)
    for it in files:
        counts[it.state] += 1
        if as_json:
            say_json({"path": it.path, "state": it.state.value, "rows": it.rows})
        elif it.state is not client.State.UNCHANGED:
            click.echo(f"{it.place}/{it.total}\t{it.path}\t{it.state.value}\t{it.rows} rows")
    if not as_json:
        click.echo(", ".join(f"{count} {state.value}" for state, count in counts.items()))
    return sum(counts.values())
