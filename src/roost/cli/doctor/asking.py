"""What a running cluster says of itself, asked of all its members side by side.

Whoever was not named is asked where the cluster says that clients find it.
"""

import datetime as dt
import json
import ssl
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import partial
from time import monotonic, time

from roost.cli.doctor.bounded import ask_all, unasked
from roost.cli.shared import credentials, failed
from roost.client import (
    Alarm,
    Client,
    ClientError,
    Credentials,
    Member,
    NotLoggedIn,
    Status,
)
from roost.client.endpoints import parse_endpoint
from roost.errors import RoostError
from roost.os_errors import words_of
from roost.tls import TlsFiles, client_context

_PAGE = "/debug/vars"
_PAGE_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one endpoint has said: a status or a trouble, and figures where it has such a page.

    `clock_off_s` is how far its clock is ahead of ours, to a second; None where it does not say.
    """

    endpoint: str
    status: Status | None = None
    trouble: str = ""
    took_ms: float = 0.0
    figures: Mapping[str, float] = field(default_factory=dict)
    clock_off_s: float | None = None
    # Why there are no figures.
    reticence: str = ""
    # It is there, and wants to know who asks, or does not believe it.
    asks_who: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A cluster as it says it is; what nobody could say is None, with a reason in `troubles`."""

    answers: Sequence[Answer]
    members: Sequence[Member] | None = None
    alarms: Sequence[Alarm] | None = None
    has_logins: bool | None = None
    troubles: Mapping[str, str] = field(default_factory=dict)


def look_at_cluster(client: Client, timeout_s: float) -> Seen:
    """Ask everybody for everything; every call ends within `timeout_s`."""
    who = credentials()
    answers = _ask_endpoints(client, client.endpoints, who, timeout_s)
    members, alarms, has_logins, troubles = None, None, None, {}
    good = next((it.endpoint for it in answers if it.status is not None), "")
    if good:
        with client.at(good) as one:
            try:
                members = one.members()
            except ClientError as error:
                troubles["members"] = failed(error).message
            try:
                alarms = one.alarms()
            except ClientError as error:
                troubles["alarms"] = failed(error).message
            try:
                has_logins = one.users.status()[0]
            except ClientError as error:
                # It is asked of those who log in, so logging in is on.
                has_logins = True if _asks_who(error) else None
                troubles["logins"] = failed(error).message
        answers += _ask_endpoints(client, unasked(answers, members or ()), who, timeout_s)
    return Seen(
        answers=answers,
        members=members,
        alarms=alarms,
        has_logins=has_logins,
        troubles=troubles,
    )


def _asks_who(error: ClientError) -> bool:
    return any(it in error.text for it in ("user name is empty", "permission denied"))


def _ask_endpoints(
    client: Client, endpoints: Sequence[str], who: Credentials, timeout_s: float
) -> list[Answer]:
    context = _context(who)
    calls = [partial(_ask, client, it, context, timeout_s) for it in endpoints]
    # A status and a page are asked for, each with its own time.
    told = ask_all(calls, 2 * timeout_s + 1)
    return [_answer(endpoint, it) for endpoint, it in zip(endpoints, told, strict=True)]


def _answer(endpoint: str, told: Answer | ClientError | None) -> Answer:
    if told is None:
        return Answer(endpoint=endpoint, trouble="no answer in time")
    if isinstance(told, ClientError):
        asks_who = isinstance(told, NotLoggedIn)
        return Answer(endpoint=endpoint, trouble=failed(told).message, asks_who=asks_who)
    return told


def _ask(
    client: Client, endpoint: str, context: ssl.SSLContext | None, timeout_s: float
) -> Answer | ClientError:
    """Ask one member; words for what goes wrong are the main thread's to find."""
    begin_s = monotonic()
    try:
        with client.at(endpoint) as one:
            status = one.status(endpoint)
    except ClientError as error:
        return error
    took_ms = (monotonic() - begin_s) * 1000
    page = read_page(endpoint, context, timeout_s)
    return Answer(
        endpoint=endpoint,
        status=status,
        took_ms=took_ms,
        figures=page.figures,
        clock_off_s=page.clock_off_s,
        reticence=page.trouble,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A member's figures, and how far its clock is ahead of ours; or why there is nothing."""

    figures: Mapping[str, float] = field(default_factory=dict)
    clock_off_s: float | None = None
    trouble: str = ""


def _context(who: Credentials) -> ssl.SSLContext | None:
    if not (who.ca_file or who.cert_file):
        return None
    files = TlsFiles(cert_file=who.cert_file, key_file=who.key_file, ca_file=who.ca_file)
    return client_context(files)


def read_page(endpoint: str, context: ssl.SSLContext | None, timeout_s: float) -> Page:
    """Read the page of figures of one member, over HTTP."""
    place = parse_endpoint(endpoint)
    if place.address.startswith("unix:"):
        return Page(trouble="figures are not asked for at a socket's path")
    is_secure = place.is_secure or context is not None
    url = f"{'https' if is_secure else 'http'}://{place.address}{_PAGE}"
    try:
        before_s = time()
        with _opener(context).open(url, timeout=timeout_s) as answer:
            date = answer.headers.get("date")
            said = json.loads(answer.read(_PAGE_BYTES_MAX))
        after_s = time()
    except (OSError, ValueError, RoostError) as error:
        words = words_of(error) if isinstance(error, OSError) else str(error)
        return Page(trouble=f"{_PAGE}: {words}")
    numbers = {it: float(v) for it, v in said.items() if isinstance(v, int | float)}
    return Page(figures=numbers, clock_off_s=clock_off(date, before_s, after_s))


def _opener(context: ssl.SSLContext | None) -> urllib.request.OpenerDirector:
    """Asks members themselves, whatever proxy there may be for the rest of the world."""
    tls = urllib.request.HTTPSHandler(context=context)
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), tls)


def clock_off(date: str | None, before_s: float, after_s: float) -> float | None:
    """How far a clock that said `date` in an answer is ahead of ours; 0 where that may be none.

    The date has whole seconds, and was said somewhere between our two moments.
    """
    try:
        said = parsedate_to_datetime(date or "")
    except ValueError:
        return None
    if said.tzinfo is None:
        said = said.replace(tzinfo=dt.UTC)
    first_s, last_s = said.timestamp(), said.timestamp() + 1
    if first_s > after_s:
        return first_s - after_s
    return min(0.0, last_s - before_s)
