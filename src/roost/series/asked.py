"""Requests over HTTP as they are asked: their parameters, and how a fault is answered.

Every error is `{"error": CODE, "message": TEXT}`, and for InfluxDB's clients `code` as well; what
is nobody's fault here but the moment's (no leader, too much at once) is 503 or 429, and may be
asked again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qs, unquote_to_bytes

import msgspec

from roost.call import Code
from roost.errors import (
    CallerFault,
    ModelRefused,
    NoLeader,
    NotExecuted,
    OutcomeUnknown,
    Overloaded,
    PackageMissing,
    Refused,
    RoostError,
)
from roost.exchange import JSON, Answer, Fields, Request
from roost.series.errors import (
    NO_JOB,
    NO_SERIES,
    STAGING_FULL,
    BadPoints,
    BadSeries,
    BadWindow,
    SeriesDamaged,
)
from roost.series.names import TAGS_MAX, Tag, tag
from roost.series.spelling import Precision, parse_time, precision
from roost.series.tables import TIME_MIN, TIME_STOP
from roost.series.windows import zone

PARAMETERS_MAX = 2000
_DIGITS_MAX = 12
# What is asked in JSON of one series; its name may have 64 KiB, whose signs take six bytes there.
ASKED_BYTES_MAX = 512 << 10
B = TypeVar("B")
RETRY: Fields = ((b"retry-after", b"1"),)


class BadRequest(CallerFault):
    """A request that cannot be answered: a parameter or a body is none."""


class TagsAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /series/tags`."""

    name: str
    add: list[str] = []
    remove: list[str] = []


class DedupAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `PUT /series/dedup`: which of two points of one time counts."""

    series: str
    dedup: Literal["max", "last"]


class NoteAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `PUT /series/notes`: a note of a series or a tag; null removes it."""

    note: str | None
    series: str = ""
    tag: str = ""


class KeepAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `PUT /series/retention`: a rule of a series or a tag; null removes it.

    `sums` is how long sums are kept, `forever` or a duration; without it, as long as points.
    """

    keep: str | None
    series: str = ""
    tag: str = ""
    sums: str = ""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What stands behind the question mark."""

    given: Mapping[str, list[str]]
    now_ns: int
    known: set[str] = field(default_factory=set)

    def text(self, name: str, default: str = "") -> str:
        """The last one of a name."""
        self.known.add(name)
        return self.given.get(name, [default])[-1]

    def texts(self, name: str) -> list[str]:
        """All of a name; one may have several, with commas between them outside of braces."""
        self.known.add(name)
        return [it for it in self.given.get(name, []) if it]

    def listed(self, name: str) -> list[str]:
        """All of a name, and what stands between commas in each."""
        return [it.strip() for text in self.texts(name) for it in text.split(",") if it.strip()]

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number from 1.

        Raises:
            BadRequest: it is none, or too large.

        """
        text = self.text(name, str(default))
        is_number = text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX
        if not is_number or not 1 <= int(text) <= most:
            raise BadRequest(f"{name}={text!r}: a whole number from 1 to {most}")
        return int(text)

    def flag(self, name: str) -> bool:
        """Whether something is asked for.

        Raises:
            BadRequest: it is neither yes nor no.

        """
        text = self.text(name, "false").lower()
        if text not in ("true", "false", "1", "0", ""):
            raise BadRequest(f"{name}={text!r}: true or false")
        return text in ("true", "1")

    @property
    def tz(self) -> tzinfo:
        """The zone that is asked for.

        Raises:
            BadWindow: there is none of that name.

        """
        name = self.text("tz", "UTC")
        return UTC if name in ("", "UTC", "Z") else zone(name)

    def tags(self) -> list[Tag]:
        """Tags that all of them have.

        Raises:
            BadSeries: one is none.
            BadRequest: no series has so many labels and tags.

        """
        given = self.texts("tag")
        if len(given) > 2 * TAGS_MAX:
            raise BadRequest(f"{len(given)} tags: a series has {2 * TAGS_MAX} with its labels")
        return [tag(it) for it in given]

    def unit(self) -> Precision:
        """What whole numbers of times count.

        Raises:
            BadPoints: there is no such unit.

        """
        return precision(self.text("precision"))

    def time(self, name: str, default: int) -> int:
        """A moment.

        Raises:
            BadWindow: it is none.

        """
        text = self.text(name)
        return parse_time(text, self.now_ns, self.unit(), self.tz) if text else default

    def start_stop(self, *, is_needed: bool = False) -> tuple[int, int]:
        """A range; without a beginning or an end it is all there is.

        Raises:
            BadWindow: it is none.
            BadRequest: it must be said, and is not.

        """
        if is_needed and not (self.text("start") and self.text("end")):
            raise BadRequest("say start= and end=")
        start, stop = self.time("start", TIME_MIN), self.time("end", TIME_STOP)
        if start >= stop:
            raise BadWindow("start is not before end")
        return start, stop

    def check(self) -> None:
        """Refuse what nobody has asked for: a word that was misspelt must not be passed over.

        Raises:
            BadRequest: there is something.

        """
        unknown = sorted(set(self.given) - self.known)
        if unknown:
            raise BadRequest(f"unknown: {', '.join(unknown)}; known: "
                             f"{', '.join(sorted(self.known))}")  # fmt: skip


def parameters(request: Request, now_ns: int) -> Parameters:
    """Those of a request.

    Raises:
        BadRequest: they are none.

    """
    try:
        given = parse_qs(
            request.query.decode("utf-8"),
            keep_blank_values=True,
            max_num_fields=PARAMETERS_MAX,
            errors="strict",
        )
    except ValueError as error:
        raise BadRequest(f"the query is none: {error}") from error
    return Parameters(given, now_ns)


def decoded(body: bytes, kind: type[B]) -> B:
    """What a body in JSON asks.

    Raises:
        BadRequest: it is none, or too long.

    """
    if len(body) > ASKED_BYTES_MAX:
        raise BadRequest(f"a body of {len(body)} bytes: {ASKED_BYTES_MAX} at most")
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body is none: {error}") from error


def path_of(request: Request) -> str:
    """The path, without its escapes.

    Raises:
        BadRequest: it is no text.

    """
    try:
        return unquote_to_bytes(request.raw_path.decode("ascii")).decode()
    except UnicodeDecodeError as error:
        raise BadRequest("the path is no text in UTF-8") from error


def said(status: int, value: Any, headers: Fields = ()) -> Answer:
    """An answer in JSON."""
    return Answer(status, msgspec.json.encode(value) + b"\n", (JSON, *headers))


def status_of(error: RoostError) -> int:
    """The status of HTTP that says what the caller can do."""
    match error:
        case ModelRefused(code=Code.PERMISSION_DENIED):
            return 403
        case ModelRefused(code=Code.RESOURCE_EXHAUSTED):
            return 507
        case ModelRefused():
            return 401
        case Overloaded():
            return 429
        case NotExecuted() | OutcomeUnknown():
            return 503
        case Refused():
            code = getattr(error, "code", "")
            return {NO_SERIES: 404, NO_JOB: 404, STAGING_FULL: 503}.get(code, 409)
        case PackageMissing():
            return 501
        case CallerFault():
            return 400
    return 500


_CODES: tuple[tuple[type[RoostError], str], ...] = (
    (BadPoints, "bad_points"),
    (BadSeries, "bad_series"),
    (BadWindow, "bad_window"),
    (BadRequest, "bad_request"),
    (NoLeader, "no_leader"),
    (Overloaded, "overloaded"),
    (NotExecuted, "not_executed"),
    (OutcomeUnknown, "outcome_unknown"),
    (SeriesDamaged, "damaged"),
    (PackageMissing, "package_missing"),
)


def code_of(error: RoostError) -> str:
    """The name of an error, for programs."""
    if isinstance(error, ModelRefused):
        return {403: "forbidden", 507: "no_space"}.get(status_of(error), "unauthorized")
    if isinstance(error, Refused):
        return str(getattr(error, "code", "") or "refused")
    return next((code for kind, code in _CODES if isinstance(error, kind)), "internal")


def described(error: RoostError) -> dict[str, str]:
    """An error as it stands in an answer."""
    return {"error": code_of(error), "code": code_of(error), "message": str(error)}


def refusal(error: RoostError) -> Answer:
    """An error as an answer."""
    status = status_of(error)
    return said(status, described(error), RETRY if status in (429, 503) else ())
