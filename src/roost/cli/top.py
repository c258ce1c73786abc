"""`roost top`: a cluster on the whole screen, live: members, what they do, what is wrong.

Every two seconds all members are asked for their status and their figures, side by side; rates are
what was counted between two looks.  Screen and keys are `rich`'s, an extra; without it the command
says what to install, and `roost status --watch` does without.
"""

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from roost.cli.doctor.asking import Answer, Seen, look_at_cluster
from roost.cli.exits import EXIT_FAILED
from roost.cli.interrupts import interruptible, leave_done
from roost.cli.shared import Failed, client_options, connect, size_of
from roost.cli.status import role_of, unasked_role_of
from roost.client import Client, Status
from roost.extras import command_for

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live

WATCH_S = 2.0
# What is remembered of a rate, to draw: two minutes.
_HISTORY_MAX = 60
_BARS = "▁▂▃▄▅▆▇█"
# Rates, by the figures of all members that are summed up.
_RATES = {
    "puts": "etcd_mvcc_put_total",
    "deletes": "etcd_mvcc_delete_total",
    "transactions": "etcd_mvcc_txn_total",
    "reads": "etcd_mvcc_range_total",
    "events": "etcd_debugging_mvcc_events_total",
}
_MEMORY, _FREE = "roost_memory_used_bytes", "roost_disk_free_bytes"
_WATCHERS = "etcd_debugging_mvcc_watcher_total"


@dataclass(slots=True)
class Rates:
    """What was counted between two looks, a second; of a member that began anew nothing is."""

    now: dict[str, float] = field(default_factory=dict)
    history: dict[str, deque[float]] = field(
        default_factory=lambda: {it: deque(maxlen=_HISTORY_MAX) for it in _RATES}
    )
    _before: dict[str, Mapping[str, float]] = field(default_factory=dict)
    _looked_s: float = 0.0

    @property
    def has_looked(self) -> bool:
        """Whether there is something to compare with."""
        return bool(self._before)

    def look(self, answers: Sequence[Answer], now_s: float) -> None:
        """Take what members say."""
        elapsed = now_s - self._looked_s
        for name, figure in _RATES.items():
            grown = 0.0
            for it in answers:
                before = self._before.get(it.endpoint, {}).get(figure)
                after = it.figures.get(figure)
                if before is not None and after is not None and after >= before:
                    grown += after - before
            if self._before and elapsed > 0:
                self.now[name] = grown / elapsed
                self.history[name].append(self.now[name])
        self._before = {it.endpoint: it.figures for it in answers}
        self._looked_s = now_s


def spark(values: Sequence[float]) -> str:
    """A line of bars, the highest of which is the largest."""
    largest = max(values, default=0.0)
    if not largest:
        return _BARS[0] * len(values)
    last = len(_BARS) - 1
    return "".join(_BARS[min(last, int(it / largest * last + 0.5))] for it in values)


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table, and how it is to be looked at."""

    cells: tuple[str, ...]
    style: str


COLUMNS = ("NAME", "ROLE", "ENDPOINT", "TERM", "INDEX", "BEHIND", "STORE", "IN USE", "MEMORY",
           "DISK FREE", "WATCHES", "ANSWER", "ALARMS")  # fmt: skip


def lines_of(seen: Seen) -> list[Line]:
    """A line for each member that was asked, and for each that nobody can ask."""
    names = {it.id: it.name for it in seen.members or ()}
    newest = max((it.status.index for it in seen.answers if it.status is not None), default=0)
    lines = [_line_of(it, seen, names, newest) for it in seen.answers]
    there = {it.status.member_id for it in seen.answers if it.status is not None}
    lines += [
        Line((it.name or "?", unasked_role_of(it), *("-" for _ in COLUMNS[2:])), "dim")
        for it in seen.members or ()
        if it.id not in there and not it.client_urls
    ]
    return sorted(lines, key=lambda it: it.cells)


def _line_of(answer: Answer, seen: Seen, names: Mapping[int, str], newest: int) -> Line:
    status = answer.status
    if status is None:
        cells = ("?", "silent", answer.endpoint, *("-" for _ in COLUMNS[4:]), answer.trouble)
        return Line(cells, "bold red")
    alarms = sorted(it.kind for it in seen.alarms or () if it.member_id == status.member_id)
    behind = max(0, newest - status.applied_index)
    figures = answer.figures
    watches = figures.get(_WATCHERS)
    cells = (
        names.get(status.member_id) or "?",
        role_of(status),
        answer.endpoint,
        str(status.term),
        str(status.index),
        str(behind),
        size_of(status.db_bytes),
        size_of(status.db_bytes_in_use),
        _size(figures, _MEMORY),
        _size(figures, _FREE),
        "-" if watches is None else f"{watches:,.0f}",
        f"{answer.took_ms:.0f} ms",
        ",".join(alarms) or "none",
    )
    return Line(cells, _style_of(status, alarms))


def _size(figures: Mapping[str, float], name: str) -> str:
    held = figures.get(name)
    return "-" if held is None else size_of(int(held))


def _style_of(status: Status, alarms: Sequence[str]) -> str:
    if alarms or not status.leader_id:
        return "bold red"
    return "bold green" if status.is_leader else ""


def _page(seen: Seen, rates: Rates) -> "Group":
    """What is on the screen."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    members = Table(box=None, pad_edge=False, expand=True)
    for position, name in enumerate(COLUMNS):
        is_number = 3 <= position < len(COLUMNS) - 1
        members.add_column(name, justify="right" if is_number else "left", no_wrap=True)
    for line in lines_of(seen):
        members.add_row(*line.cells, style=line.style)
    work = Table(box=None, pad_edge=False)
    work.add_column("A SECOND", no_wrap=True)
    work.add_column("NOW", justify="right", no_wrap=True)
    work.add_column("THE LAST TWO MINUTES", no_wrap=True)
    for name in _RATES:
        now = rates.now.get(name)
        said = "-" if now is None else f"{now:,.1f}"
        work.add_row(name, said, Text(spark(tuple(rates.history[name])), style="cyan"))
    troubles = [Text(f"{what}: {why}", style="yellow") for what, why in seen.troubles.items()]
    head = Text(f"{_head(seen)}    Ctrl-C ends", style="bold")
    return Group(head, Text(), members, Text(), work, *troubles)


def _head(seen: Seen) -> str:
    good = [it.status for it in seen.answers if it.status is not None]
    revision = max((it.revision for it in good), default=0)
    count = len(seen.members or seen.answers)
    return f"{len(good)} of {count} members answer; revision {revision:,}"


@click.command()
@client_options
@click.option("--once", is_flag=True, help="Look twice, show what was found, and end.")
def top(endpoints: str, timeout_s: float, *, as_json: bool, once: bool) -> None:
    r"""Show a cluster live on the whole screen: members, rates, alarms, until interrupted.

    \b
    Example:
        roost top --endpoints 127.0.0.1:2379
    """
    if as_json:
        raise click.UsageError("for programs there is `roost status --watch --json`")
    try:
        from rich.console import Console
        from rich.live import Live
    except ImportError as error:
        how = command_for("terminal")
        text = f"roost top draws with rich: {how}; without it there is `roost status --watch`"
        raise Failed(text, EXIT_FAILED) from error
    console = Console()
    is_screen = console.is_terminal and not once
    with Live(console=console, screen=is_screen, auto_refresh=False) as live:

        def end(number: int) -> None:
            live.stop()  # the screen that was there before comes back
            leave_done(number)

        with interruptible(end), connect(endpoints, timeout_s) as client:
            _look_on(client, live, timeout_s, once=once)


def _look_on(client: Client, live: "Live", timeout_s: float, *, once: bool) -> None:
    rates = Rates()
    while True:
        begin_s = time.monotonic()
        seen = look_at_cluster(client, timeout_s)
        is_first = not rates.has_looked
        rates.look(seen.answers, begin_s)
        if not once or not is_first:
            live.update(_page(seen, rates), refresh=True)
        if once and not is_first:
            return
        _pause(begin_s)


def _pause(begin_s: float) -> None:
    """Until the next look; who is interrupted leaves."""
    threading.Event().wait(max(0.0, begin_s + WATCH_S - time.monotonic()))
