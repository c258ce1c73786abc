"""Requests to counters over HTTP as what they ask, and what is answered as JSON.

    GET     /counters/read?id=a&id=b    a bare `&b` is an id, too; raw=true, missing=null
    POST    /counters/increment         [["a", 4], {"name": "b"}, ...]; without a number it is 1
    GET     /counters?prefix=&after=&limit=
    DELETE  /counters/{name}

An error is `{"code": its name, "message": what is wrong}`, and what its fields say besides.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any
from urllib.parse import quote, unquote_to_bytes

import msgspec

from roost.call import Code, Status
from roost.counters.errors import (
    BadChange,
    BadCounterName,
    BadCounterRequest,
    CounterOverflow,
    CounterStoreError,
    KeyReused,
    MalformedCounters,
    NotReady,
)
from roost.counters.requests import Request
from roost.errors import (
    UNDECODABLE,
    CallerFault,
    ModelRefused,
    NotExecuted,
    OutcomeUnknown,
    Overloaded,
    Refused,
    RoostError,
)
from roost.exchange import JSON, Answer, Fields

LIST_LIMIT, LIST_LIMIT_MAX = 1000, 10_000
# Of a request, what is looked at in one step.
CHANGES_A_STEP = 1000
# Of names that are told to be missing; of more, how many they are.
_MISSING_BYTES_MAX = 4096
_DIGITS_MAX = 20
# A change has a comma, one behind it, and three texts at most: {"name": "a", "change": 1}.
_COMMAS_A_CHANGE, _QUOTES_A_CHANGE = 2, 6
# Looked at in a step: two milliseconds if every byte of it is a quote.
_LOOK_BYTES = 16 << 10
_BOOLEANS = ("true", "false")
# Of a query that names counters.
_FLAGS_MAX = 100
_GRPC_STATUSES = {3: 400, 5: 404, 7: 403, 9: 409, 14: 503, 16: 401}


@dataclass(frozen=True, slots=True)
class _Told:
    """What an error is over HTTP, and over gRPC."""

    kind: type[RoostError]
    status: int
    code: Code


# The first row that fits.
_TOLD = (
    _Told(CounterOverflow, 409, Code.FAILED_PRECONDITION),
    _Told(KeyReused, 422, Code.INVALID_ARGUMENT),
    _Told(Refused, 409, Code.FAILED_PRECONDITION),
    _Told(CallerFault, 400, Code.INVALID_ARGUMENT),
    _Told(MalformedCounters, 400, Code.INVALID_ARGUMENT),
    _Told(Overloaded, 503, Code.RESOURCE_EXHAUSTED),
    _Told(NotExecuted, 503, Code.UNAVAILABLE),
    _Told(OutcomeUnknown, 504, Code.UNAVAILABLE),
    _Told(CounterStoreError, 503, Code.UNAVAILABLE),
)
# Before the text of an error after which it is safe to ask anybody again.
NOT_COUNTED = "counters: nothing was counted: "


@dataclass(frozen=True, slots=True)
class Reading:
    """Which counters are read."""

    names: list[str]
    is_raw: bool
    # Whether null is answered for those that are not there, in place of 0.
    is_null: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """Which counters are listed."""

    prefix: str
    after: str
    limit: int


def text_of(data: bytes) -> str:
    """Text with its escapes undone.

    Raises:
        BadCounterRequest: it is no UTF-8.

    """
    try:
        return (unquote_to_bytes(data) if b"%" in data else data).decode()
    except UnicodeDecodeError as error:
        raise BadCounterRequest(f"no UTF-8: {error}") from error


def _pairs(query: bytes) -> Iterator[tuple[str, str | None]]:
    """Names and values of a query; None = there is no `=`."""
    for piece in query.split(b"&"):
        if piece:
            name, has_value, value = piece.replace(b"+", b" ").partition(b"=")
            yield text_of(name), text_of(value) if has_value else None


def read_reading(query: bytes, names_max: int) -> Generator[None, None, Reading]:
    """What `/counters/read` asks, after as many steps as it takes.

    Raises:
        BadCounterRequest: it is something else, or too much.

    """
    if query.count(b"&") > names_max + _FLAGS_MAX:
        raise BadCounterRequest(f"too many names; 1 to {names_max} at a time")
    names: list[str] = []
    is_raw = is_null = False
    for position, (name, value) in enumerate(_pairs(query), 1):
        if position % CHANGES_A_STEP == 0:
            yield
        match name, value:
            case _, None:
                names.append(name)
            case "id", str():
                names.append(value)
            case "raw", "true" | "false":
                is_raw = value == "true"
            case "missing", "null" | "0":
                is_null = value == "null"
            case _:
                raise BadCounterRequest(f"{name}={value}: id, raw=true or missing=null")
    if not 1 <= len(names) <= names_max:
        raise BadCounterRequest(f"{len(names)} names; 1 to {names_max} at a time")
    return Reading(names, is_raw, is_null)


def read_listing(query: bytes) -> Listing:
    """What `/counters` asks.

    Raises:
        BadCounterRequest: it is something else.

    """
    fields = {"prefix": "", "after": "", "limit": str(LIST_LIMIT)}
    for name, value in _pairs(query):
        if name not in fields or value is None:
            raise BadCounterRequest(f"{name}: prefix=, after= or limit=")
        fields[name] = value
    limit = fields["limit"]
    if not (limit.isascii() and limit.isdigit() and len(limit) < _DIGITS_MAX and int(limit)):
        raise BadCounterRequest(f"limit={limit}: a number from 1")
    return Listing(fields["prefix"], fields["after"], min(int(limit), LIST_LIMIT_MAX))


def read_prefix(query: bytes) -> str:
    """What `/counters/watch` asks.

    Raises:
        BadCounterRequest: it is something else.

    """
    prefix = ""
    for name, value in _pairs(query):
        if name != "prefix" or value is None:
            raise BadCounterRequest(f"{name}: prefix=")
        prefix = value
    return prefix


@dataclass(frozen=True, slots=True)
class PurgeAsked:
    """How a purge is meant; a dry one says only what it would prove."""

    is_forced: bool
    is_dry: bool


def read_purge(query: bytes) -> PurgeAsked:
    """What `/counters/purge` asks.

    Raises:
        BadCounterRequest: it is something else.

    """
    found = {"force": False, "dry_run": False}
    for name, value in _pairs(query):
        if name not in found or value not in _BOOLEANS:
            raise BadCounterRequest(f"{name}: force=true or dry_run=true")
        found[name] = value == "true"
    return PurgeAsked(found["force"], found["dry_run"])


def read_name(query: bytes) -> str:
    """What `/counters/retire` asks.

    Raises:
        BadCounterRequest: it is something else.

    """
    match list(_pairs(query)):
        case [("name", str(name))] if name:
            return name
        case _:
            raise BadCounterRequest("name=, of who is away for good")


@dataclass(frozen=True, slots=True)
class LinkAsked:
    """Which link is meant."""

    url: str
    source: str
    is_relay: bool


def read_link(query: bytes) -> LinkAsked:
    """What `/counters/link` and `/counters/unlink` ask.

    Raises:
        BadCounterRequest: it is something else.

    """
    found = {"url": "", "from": "", "relay": "false"}
    for name, value in _pairs(query):
        if name not in found or value is None or (name == "relay" and value not in _BOOLEANS):
            raise BadCounterRequest(f"{name}: url=, from= or relay=true")
        found[name] = value
    if not found["url"]:
        raise BadCounterRequest("url=, of a member of another cluster")
    return LinkAsked(found["url"], found["from"], found["relay"] == "true")


def read_changes(body: bytes, changes_max: int) -> Generator[None, None, list[tuple[str, int]]]:
    """What `/counters/increment` asks, after as many steps as it takes.

    Raises:
        BadCounterRequest: it is something else.
        BadChange: they are too many.

    """
    if (yield from _has_more_values(body, changes_max)):
        # Before it is decoded, which takes as long as it has values, whatever these are.
        raise BadChange(f"more than {changes_max} changes, which are the most at a time")
    try:
        found: Any = msgspec.json.decode(body)  # what a client has sent
    except UNDECODABLE as error:
        raise BadCounterRequest(f"no JSON: {error}") from error
    if not isinstance(found, list) or not found:
        raise BadCounterRequest('a list is wanted: [["name", 1], {"name": "name"}]')
    if len(found) > changes_max:
        raise BadChange(f"{len(found)} changes; {changes_max} at most at a time")
    changes: list[tuple[str, int]] = []
    for at in range(0, len(found), CHANGES_A_STEP):
        if at:
            yield
        changes += [_change(it) for it in found[at : at + CHANGES_A_STEP]]
    return changes


def _has_more_values(body: bytes, changes_max: int) -> Generator[None, None, bool]:
    """Whether a body has more values than so many changes have, by its commas and quotes.

    Those in names do not count.
    """
    commas_max, quotes_max = _COMMAS_A_CHANGE * changes_max, _QUOTES_A_CHANGE * changes_max
    if body.count(b",") <= commas_max:
        return False
    commas = quotes = 0
    is_text, kept = False, b""
    for at in range(0, len(body), _LOOK_BYTES):
        if at:
            yield
        piece = kept + body[at : at + _LOOK_BYTES]
        # Backslashes stand in texts alone, and the first of two says what the other is; the last of
        # an odd number says it of the next piece.
        kept = b"\\" if _ends_odd(piece) else b""
        piece = piece[: len(piece) - len(kept)]
        parts = piece.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')
        commas += sum(it.count(b",") for it in parts[is_text::2])
        quotes += len(parts) - 1
        is_text = is_text != (len(parts) % 2 == 0)
        if commas > commas_max or quotes > quotes_max:
            return True
    return False


def _ends_odd(piece: bytes) -> bool:
    """Whether it ends with an odd number of backslashes."""
    return (len(piece) - len(piece.rstrip(b"\\"))) % 2 == 1


def _change(said: Any) -> tuple[str, int]:  # what a client has sent
    name: Any = None
    change: Any = 1
    match said:
        case [name]:
            pass
        case [name, change]:
            pass
        case {"name": _} if said.keys() <= {"name", "change"}:
            name, change = said["name"], said.get("change", 1)
        case _:
            pass
    if not isinstance(name, str) or not isinstance(change, int) or isinstance(change, bool):
        raise BadCounterRequest(
            'a change is ["name", number], or {"name": "name", "change": number}; numbers are whole'
        )
    return name, change


def key_of(headers: Mapping[bytes, bytes]) -> bytes:
    """The idempotency key that was given; empty when none was.

    Raises:
        BadCounterRequest: it says nothing, so whoever gave it takes for once what is not.

    """
    key = headers.get(b"idempotency-key")
    if key == b"":
        raise BadCounterRequest("an idempotency key is empty; leave it out, or say one")
    return key or b""


def request_of(key: bytes, asked: bytes, now_s: float) -> Request | None:
    """The request of an idempotency key; `asked` is what it must not be another time."""
    if not key:
        return None
    digest = blake2b(asked, digest_size=8).digest()
    # One bit less: it is kept as a signed number.
    return Request(key, int.from_bytes(digest, "big") >> 1, now_s)


def json_answer(said: object, status: int = 200, headers: Fields = ()) -> Answer:
    """An answer in JSON."""
    return Answer(status, msgspec.json.encode(said) + b"\n", (JSON, *headers))


def missing_fields(names: Sequence[str]) -> Fields:
    """Headers that say which counters are not there."""
    if not names:
        return ()
    told = b""
    for name in names:
        more = (b"," if told else b"") + quote(name, safe="").encode()
        if len(told) + len(more) > _MISSING_BYTES_MAX:
            break
        told += more
    return ((b"x-roost-missing", told), (b"x-roost-missing-count", b"%d" % len(names)))


def status_of(error: RoostError) -> Status:
    """What a client is told of an error over gRPC."""
    if isinstance(error, ModelRefused):
        return Status(error.code, error.text)
    code = next((it.code for it in _TOLD if isinstance(error, it.kind)), Code.INTERNAL)
    text = f"{type(error).__name__}: {error}"
    # A member that is broken has counted nothing of a request that it has refused.
    has_not_run = isinstance(error, NotExecuted | CounterStoreError)
    return Status(code, NOT_COUNTED + text if has_not_run else text)


def error_answer(error: RoostError) -> Answer:
    """What a client is told of an error."""
    said: dict[str, object] = {"code": type(error).__name__, "message": str(error)}
    status = next((it.status for it in _TOLD if isinstance(error, it.kind)), 500)
    headers: Fields = ()
    match error:
        case ModelRefused():
            status = _GRPC_STATUSES.get(error.code, 409)
        case BadCounterName():
            said["position"] = error.position
        case NotReady():
            said |= {"phase": error.phase, "share": error.share}
        case _:
            pass
    if status == 503:
        headers = ((b"retry-after", b"1"),)
    return json_answer(said, status, headers)
