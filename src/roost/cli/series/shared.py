"""What the commands have in common: a connection, which series, times, options."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import click

from roost.cli.shared import credentials, failed, say_json
from roost.client import series as client
from roost.client.series.points import nanoseconds
from roost.errors import RoostError

name_argument = click.argument("name", metavar="NAME")
start_option = click.option(
    "--start", default="", help="From this time: RFC 3339, now-1h, nanoseconds."
)
end_option = click.option("--end", default="", help="To before this time.")


@contextmanager
def connected(endpoints: str, timeout_s: float) -> Iterator[client.Connection]:
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


def need(names: tuple[str, ...], tags: tuple[str, ...]) -> None:
    """Refuse a command that has named no series."""
    if not names and not tags:
        raise click.UsageError("say which series: NAME, or --tag")


def time_of(text: str) -> int:
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


def say_csv(connection: client.Connection, asked: client.Asked, *, with_head: bool = True) -> None:
    """Print an answer as CSV, with lines as terminals and files here have them."""
    text = connection.csv(asked).decode().replace("\r\n", "\n")
    sys.stdout.write(text if with_head else text.partition("\n")[2])


def say_point(series: str, time_ns: int, value: float | None) -> None:
    """Print a point for programs."""
    say_json({"series": series, "time": time_ns, "value": value})


def shown(time_ns: Any, tz: tzinfo = UTC) -> str:
    """A time for people, in their zone."""
    whole, rest = divmod(int(time_ns), 10**9)
    at = datetime.fromtimestamp(whole, tz)
    zone = "Z" if tz is UTC else at.isoformat()[19:]
    text = at.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:09d}".rstrip("0") + zone if rest else f"{text}{zone}"


def zone_of(name: str) -> tzinfo:
    """The zone in which times are shown; one that only the member knows is UTC here."""
    try:
        return ZoneInfo(name) if name else UTC
    except (KeyError, ValueError, OSError):  # none that is known here, no name of one, a folder
        return UTC


def length(seconds: float) -> str:
    """A length of time as it is said to `retain`: 90d, 12h."""
    for unit, width in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= width and seconds % width == 0:
            return f"{seconds / width:.0f}{unit}"
    return f"{seconds:g}s"
