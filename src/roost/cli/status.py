"""`roost status` and `roost health`: what members say of themselves."""

import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import click

from roost.cli.doctor.bounded import ask_all, unasked
from roost.cli.exits import EXIT_FAILED
from roost.cli.interrupts import interruptible, leave_done
from roost.cli.shared import client_options, connect, failed, say_json, say_table, size_of
from roost.client import Alarm, Client, ClientError, Member, Status
from roost.client.endpoints import parse_endpoint

WATCH_S = 2.0
_COLUMNS = ("NAME", "ROLE", "ENDPOINT", "MEMBER", "TERM", "INDEX", "BEHIND", "REVISION", "STORE",
            "IN USE", "VERSION", "ALARMS")  # fmt: skip
_NUMBERS = (4, 5, 6, 7, 8, 9)
# How a new page begins on a terminal: home, and nothing below it (ECMA-48).
_HOME = "\x1b[H\x1b[2J"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one endpoint has said: a status, or a trouble."""

    endpoint: str
    status: Status | None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """A cluster as it says it is; without members nobody could list them."""

    answers: Sequence[Answer]
    members: Sequence[Member]
    alarms: Sequence[Alarm]

    @property
    def is_complete(self) -> bool:
        """Whether everybody who was asked has answered."""
        return all(it.status is not None for it in self.answers)

    @property
    def newest_index(self) -> int:
        """The end of the longest log."""
        return max((it.status.index for it in self.answers if it.status is not None), default=0)


def _ask(client: Client, endpoint: str) -> Status | ClientError:
    """Ask one; words for what goes wrong are the main thread's to find."""
    try:
        with client.at(endpoint) as one:
            return one.status(endpoint)
    except ClientError as error:
        return error


def _answers(client: Client, endpoints: Sequence[str], timeout_s: float) -> list[Answer]:
    told = ask_all([partial(_ask, client, it) for it in endpoints], timeout_s + 1)
    return [answer_of(endpoint, it) for endpoint, it in zip(endpoints, told, strict=True)]


def answer_of(endpoint: str, told: Status | ClientError | None) -> Answer:
    """What became of a question; None = it was not answered in time."""
    if told is None:
        return Answer(endpoint, None, "no answer in time")
    if isinstance(told, ClientError):
        return Answer(endpoint, None, failed(told).message)
    return Answer(endpoint, told)


def look(client: Client, timeout_s: float, *, asks_others: bool) -> View:
    """Ask the endpoints, and the members that these know besides."""
    answers = _answers(client, client.endpoints, timeout_s)
    good = next((it.endpoint for it in answers if it.status is not None), "")
    members: Sequence[Member] = ()
    alarms: Sequence[Alarm] = ()
    if good:
        with client.at(good) as one:
            try:
                # Known to a member by itself, unlike alarms: it may have no majority.
                members = one.members(serializable=True)
                alarms = one.alarms()
            except ClientError:
                pass  # what is known is shown; a status says of alarms, too
        if asks_others:
            answers += _answers(client, unasked(answers, members), timeout_s)
    return View(answers, members, alarms)


def role_of(status: Status) -> str:
    """What a member is, in a word."""
    if status.is_learner:
        return "learner"
    if status.is_leader:
        return "leader"
    return "follower" if status.leader_id else "leaderless"


def unasked_role_of(member: Member) -> str:
    """What is known of a member that has told nobody where clients find it.

    One that has started has a name; a member in a program serves clients when that says so.
    """
    return "not asked" if member.name else "never started"


def _names(view: View) -> Mapping[int, str]:
    return {it.id: it.name for it in view.members}


def _alarms_of(view: View, member_id: int) -> str:
    return ",".join(sorted(it.kind for it in view.alarms if it.member_id == member_id))


def _name_at(view: View, endpoint: str) -> str:
    """The member that clients find there."""
    place = parse_endpoint(endpoint).address
    for it in view.members:
        if any(parse_endpoint(url).address == place for url in it.client_urls):
            return it.name
    return ""


def table_of(view: View) -> list[Sequence[str]]:
    """A row for each that was asked, and one for each that could not be."""
    rows: list[Sequence[str]] = [_COLUMNS]
    names = _names(view)
    for answer in view.answers:
        said = answer.status
        if said is None:
            name = _name_at(view, answer.endpoint) or "?"
            rows.append((name, "silent", answer.endpoint, *8 * "-", ""))
            continue
        behind = max(0, view.newest_index - said.applied_index)
        numbers = (said.term, said.index, behind, said.revision)
        sizes = (size_of(said.db_bytes), size_of(said.db_bytes_in_use))
        rows.append((names.get(said.member_id) or "?", role_of(said), answer.endpoint,
                     f"{said.member_id:x}", *map(str, numbers), *sizes, said.version,
                     _alarms_of(view, said.member_id) or "none"))  # fmt: skip
    there = {it.status.member_id for it in view.answers if it.status is not None}
    rows += [
        (it.name or "?", unasked_role_of(it), "", f"{it.id:x}", *7 * "-", "")
        for it in view.members
        if it.id not in there and not it.client_urls
    ]
    return rows


def _say(view: View) -> None:
    say_table(table_of(view), right=_NUMBERS)
    for it in view.answers:
        if it.status is None:
            click.echo(f"{it.endpoint}  {it.trouble}")
    there = {it.status.member_id for it in view.answers if it.status is not None}
    for alarm in view.alarms:
        if alarm.member_id not in there:
            name = _names(view).get(alarm.member_id) or f"{alarm.member_id:x}"
            click.echo(f"alarm {alarm.kind} is raised for {name}")


def _row_of(view: View, said: Status) -> dict[str, object]:
    return {
        "endpoint": said.endpoint,
        "name": _names(view).get(said.member_id, ""),
        "member_id": f"{said.member_id:x}",
        "role": role_of(said),
        "is_leader": said.is_leader,
        "leader": f"{said.leader_id:x}",
        "term": said.term,
        "index": said.index,
        "applied_index": said.applied_index,
        "lag_entries": max(0, view.newest_index - said.applied_index),
        "revision": said.revision,
        "version": said.version,
        "db_bytes": said.db_bytes,
        "db_bytes_in_use": said.db_bytes_in_use,
        "alarms": [it.kind for it in view.alarms if it.member_id == said.member_id],
        "errors": said.errors,
    }


def _say_rows(view: View) -> None:
    for it in view.answers:
        if it.status is None:
            say_json({"endpoint": it.endpoint, "error": it.trouble})
        else:
            say_json(_row_of(view, it.status))


@click.command()
@click.option("--watch", "is_watched", is_flag=True, help="Again and again, until interrupted.")
@click.option("--named", is_flag=True, help="Only those that --endpoints names, no other members.")
@client_options
def status(
    endpoints: str, timeout_s: float, *, as_json: bool, is_watched: bool, named: bool
) -> None:
    r"""Show all members: who leads, who is behind, sizes, alarms; exit code 1 if one is silent.

    BEHIND counts entries that are in the longest log and not applied here.

    \b
    Example:
        roost status --endpoints 127.0.0.1:2379
        roost status --watch
    """
    say = _say_rows if as_json else _say
    ending = interruptible(leave_done) if is_watched else nullcontext()
    with ending, connect(endpoints, timeout_s) as client:
        view = look(client, timeout_s, asks_others=not named)
        while is_watched:
            if not as_json and sys.stdout.isatty():
                click.echo(_HOME, nl=False)
            say(view)
            # Nobody sets it: who is interrupted leaves.
            threading.Event().wait(WATCH_S)
            view = look(client, timeout_s, asks_others=not named)
    say(view)
    if not view.is_complete:
        sys.exit(EXIT_FAILED)


@click.command()
@client_options
def health(endpoints: str, timeout_s: float, *, as_json: bool) -> None:
    r"""Say whether each endpoint serves reads that are current, and no alarm is raised.

    A learner serves no such reads: it is healthy when it answers and hears a leader.  Exit code 1
    when one is not.

    \b
    Example:
        roost health --endpoints 127.0.0.1:2379,127.0.0.1:22379
    """
    is_good = True
    with connect(endpoints, timeout_s) as client:
        width = max(map(len, client.endpoints))
        for endpoint in client.endpoints:
            with client.at(endpoint) as one:
                begin = time.monotonic()
                wrong = _what_is_wrong(one)
            took_ms = (time.monotonic() - begin) * 1000
            is_good &= not wrong
            if as_json:
                row = {"endpoint": endpoint, "health": not wrong, "took_ms": round(took_ms, 2)}
                say_json({**row, "error": wrong} if wrong else row)
            else:
                click.echo(f"{endpoint:<{width}}  {wrong or f'healthy, {took_ms:.1f} ms'}")
    if not is_good:
        sys.exit(EXIT_FAILED)


def _what_is_wrong(client: Client) -> str:
    """Why an endpoint is not healthy; empty when it is."""
    try:
        client.get(b"health")
        raised = sorted({it.kind for it in client.alarms()})
    except ClientError as error:
        if "not supported for learner" in error.text:
            return _what_is_wrong_with_learner(client)
        # As with etcdctl: who may not read, or see alarms, is at least answered.
        return "" if "permission denied" in error.text else failed(error).message
    return f"alarms are raised: {', '.join(raised)}; see `roost alarm list`" if raised else ""


def _what_is_wrong_with_learner(client: Client) -> str:
    """The same of a member that answers what it has itself alone."""
    try:
        client.get(b"health", serializable=True)
        status = client.status(client.endpoints[0])
    except ClientError as error:
        return "" if "permission denied" in error.text else failed(error).message
    if not status.leader_id:
        return "this learner hears no leader: are the others there, and reached from its machine?"
    return f"it says: {', '.join(status.errors)}" if status.errors else ""
