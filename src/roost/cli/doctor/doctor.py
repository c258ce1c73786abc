"""`roost doctor`: whether a machine, a configuration and a cluster are well, row by row."""

import datetime as dt
import logging
import os
import signal
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import click

from roost.cli.doctor.row import Row, State
from roost.cli.exits import EXIT_FAILED
from roost.cli.flags import said_of, serve_options
from roost.cli.settings import Given, from_environment, read_given
from roost.cli.shared import connect, optional_client_options, say_json

# Rows are shown as they are found, so nobody knows yet how wide the widest is.
_STATE_WIDTH, _CHECK_WIDTH = 8, 24
_MARGIN = _STATE_WIDTH + _CHECK_WIDTH + 2
_WIDTH_MIN = 40
_COLOURS = {State.OK: "green", State.WARNED: "yellow", State.FAILED: "red", State.SKIPPED: "cyan"}


@optional_client_options
def _run(endpoints: str, timeout_s: float, *, as_json: bool, **given: str | None) -> None:
    r"""Say what is wrong with a machine, a configuration or a cluster, and what to do about it.

    Give it the flags of `roost serve`, or have its variables set, and it judges this machine and
    this configuration by the rules of a start: versions, limits, memory, clock, data directory,
    disk, ports, other members, trust, certificates.  Nothing is changed; one file is written for a
    moment, to see how long a sync takes.

    With --endpoints it judges the cluster there: every member, the leader, versions, lag, sizes,
    alarms, clocks, logins.  Without any setting it judges nothing else then.

    Each row is ok, warned, failed, or skipped with the reason.  The exit code is 1 when one has
    failed, and 0 otherwise.

    \b
    Example:
        roost doctor --config-file m1.yaml
        roost doctor --endpoints 127.0.0.1:2379,127.0.0.1:22379
    """
    flags = said_of(given)
    rows: list[Row] = []
    show = _in_json if as_json else _in_words
    with _quiet(), _ended_in_order():
        for row in _rows(flags, endpoints, timeout_s):
            show(row)
            rows.append(row)
    if not as_json:
        counts = Counter(it.state for it in rows)
        click.echo(", ".join(f"{counts[it]} {it}" for it in State if counts[it]))
    if any(it.state is State.FAILED for it in rows):
        sys.exit(EXIT_FAILED)


doctor = click.command("doctor")(_run)
doctor.params += serve_options(is_hidden=True)


def _rows(flags: dict[str, str], endpoints: str, timeout_s: float) -> Iterator[Row]:
    def given() -> Given:
        return read_given(flags, from_environment())

    if not endpoints or _is_any_given(given):
        # What serves is loaded where somebody asks about serving.
        from roost.cli.doctor.configuration import configuration_rows

        yield from configuration_rows(given, timeout_s, now=dt.datetime.now(dt.UTC))
    if endpoints:
        from roost.cli.doctor.asking import look_at_cluster
        from roost.cli.doctor.cluster import cluster_rows

        with connect(endpoints, timeout_s) as client:
            seen = look_at_cluster(client, timeout_s)
        yield from cluster_rows(seen)


def _is_any_given(given: Callable[[], Given]) -> bool:
    from roost.errors import RoostError

    try:
        return bool(given().raw)
    except RoostError:
        return True  # a file that cannot be read is a setting, too


def _in_json(row: Row) -> None:
    say_json(
        {
            "check": row.check,
            "state": row.state,
            "found": row.found,
            "to_do": row.to_do,
            "measured": dict(row.measured),
        }
    )


def _in_words(row: Row) -> None:
    """A row at once, as it is found: state, check, what was found; and what to do below."""
    state = click.style(f"{row.state:<{_STATE_WIDTH}}", fg=_COLOURS[row.state])
    click.echo(state + f"{row.check:<{_CHECK_WIDTH}}  " + _folded(row.found))
    if row.to_do:
        click.echo(" " * _MARGIN + _folded(f"do: {row.to_do}"))


def _folded(text: str) -> str:
    """Text behind the margin, folded where a terminal would; whole where a program reads it."""
    if not sys.stdout.isatty():
        return text
    width = os.get_terminal_size(sys.stdout.fileno()).columns - _MARGIN
    lines = textwrap.wrap(text, max(_WIDTH_MIN, width), break_on_hyphens=False)
    return ("\n" + " " * _MARGIN).join(lines)


@contextmanager
def _quiet() -> Iterator[None]:
    """What the rules of a start would log is in the rows already."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Have whoever ends us by SIGTERM leave no file of ours behind."""

    def end(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
