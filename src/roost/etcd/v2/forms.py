"""What a request to /v2/keys asks for, read as Go's net/url and etcd's handlers read it.

Parameters stand in the query, and those of PUT and POST in the body as well, which come first; of
one that is given twice the first counts.  `&` and `;` part them (Go, until 1.16).  The order of
the checks is etcd's (etcd: api/v2http/client.go, parseKeyRequest), so the same request has the
same fault.
"""

import binascii
import re
from typing import Final, NamedTuple

from roost.etcd.model.costs import Costs, at_once
from roost.etcd.v2.faults import Fault, Reason
from roost.etcd.v2.values import Change, Kind
from roost.exchange import Request

FORM: Final = b"application/x-www-form-urlencoded"
# 136 years; etcd counts in nanoseconds, and what is more comes out as some other time.
TTL_S_MAX: Final = 1 << 32
PARAMETERS_MAX: Final = 1000
_TRUE: Final = frozenset({b"1", b"t", b"T", b"TRUE", b"true", b"True"})
_FALSE: Final = frozenset({b"0", b"f", b"F", b"FALSE", b"false", b"False"})
_NUMBER: Final = re.compile(rb"[0-9]+")
# A media type with its parameters (RFC 9110, 8.3.1).
_WORD: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_KIND: Final = re.compile(
    rb"\s*" + _WORD + rb"(?:/" + _WORD + rb")?\s*"
    rb"(?:;\s*" + _WORD + rb"\s*=\s*(?:" + _WORD + rb'|"[^"]*+")\s*)*+;?\s*'
)
_NUMBER_MAX: Final = (1 << 64) - 1
_DIGITS_MAX: Final = 100
_HEX: Final = b"0123456789abcdefABCDEF"
# A byte as a kind of byte: what counts is whether a "%" has two digits behind it.
_KINDS: Final = bytes(ord("h") if it in _HEX else it if it == ord("%") else 0 for it in range(256))
_NO_ESCAPE: Final = re.compile(rb"%(?![0-9a-fA-F]{2})")
# Of what has escapes, in one step, and what that costs (`costs`).
_STEP_BYTES, _STEP_COST = 32 << 10, 150
# What is no longer is read without steps: it has a few hundred parameters at most.
SHORT_BYTES: Final = 1 << 10


class BadEscape(ValueError):
    """A "%" that no two digits follow; the text says where, as Go's does."""


def unescaped(text: bytes) -> bytes:
    """What a text with escapes says.

    Raises:
        BadEscape: one of them is none.

    """
    return at_once(_unescaped(text)) if b"%" in text else text


def _unescaped(text: bytes) -> Costs[bytes]:
    if b"%" not in text:
        return text
    parts, start = [], 0
    while len(text) - start > _STEP_BYTES:
        stop = start + _STEP_BYTES
        # No escape is parted.
        begun = text.find(b"%", stop - 2, stop)
        stop = stop if begun < 0 else begun
        parts.append(_part_unescaped(text[start:stop]))
        start = stop
        yield _STEP_COST
    parts.append(_part_unescaped(text[start:]))
    return b"".join(parts)


def _part_unescaped(text: bytes) -> bytes:
    if text.translate(_KINDS).count(b"%hh") != text.count(b"%"):
        wrong = _NO_ESCAPE.search(text)
        assert wrong is not None, "one of them is none"
        shown = text[wrong.start() : wrong.start() + 3].decode(errors="replace")
        raise BadEscape(f'invalid URL escape "{shown}"')
    # Quoted-printable differs by its sign alone, and is read without a step of ours for each byte.
    return binascii.a2b_qp(text.replace(b"=", b"=3D").replace(b"%", b"="))


def _has_form(request: Request) -> bool:
    """Whether its body has parameters.

    Raises:
        Fault: what it says to be is nothing: a value may be in it, and would be lost.

    """
    if not request.body or request.method not in ("PUT", "POST"):
        return False
    kind = request.headers.get(b"content-type", b"")
    if kind == FORM:
        return True
    if kind and not _KIND.fullmatch(kind):
        raise Fault(Reason.INVALID_FORM, f"{kind.decode(errors='replace')!r} is no media type")
    return kind.partition(b";")[0].strip().lower() == FORM


def _parts_of(text: bytes) -> list[bytes]:
    """Names with their values.

    Raises:
        Fault: there are too many.

    """
    parts = text.replace(b";", b"&").split(b"&", PARAMETERS_MAX)
    if len(parts) > PARAMETERS_MAX:
        raise Fault(Reason.INVALID_FORM, f"more than {PARAMETERS_MAX} parameters")
    return [it for it in parts if it]


def _said(text: bytes) -> bytes:
    """What a short part says.

    Raises:
        Fault: an escape of it is none.

    """
    spaced = text.replace(b"+", b" ")
    if b"%" not in spaced:
        return spaced
    try:
        return _part_unescaped(spaced)
    except BadEscape as error:
        raise Fault(Reason.INVALID_FORM, str(error)) from error


class Form:
    """The parameters of one request."""

    def __init__(self) -> None:
        """There are none."""
        self._first: dict[bytes, bytes] = {}

    def read(self, request: Request) -> None:
        """Read those of a request that is short.

        Raises:
            Fault: they cannot be read.

        """
        if _has_form(request):
            self._read(request.body)
        if request.query:
            self._read(request.query)

    def _read(self, text: bytes) -> None:
        for part in _parts_of(text):
            name, _, value = part.partition(b"=")
            if b"%" in part or b"+" in part:
                name, value = _said(name), _said(value)
            self._first.setdefault(name, value)

    def read_long(self, request: Request) -> Costs[None]:
        """The same in steps, for one that may be long.

        Raises:
            Fault: they cannot be read.

        """
        texts = [request.body, request.query] if _has_form(request) else [request.query]
        for text in texts:
            for part in _parts_of(text):
                name, _, value = part.replace(b"+", b" ").partition(b"=")
                try:
                    name = yield from _unescaped(name)
                    value = yield from _unescaped(value)
                except BadEscape as error:
                    raise Fault(Reason.INVALID_FORM, str(error)) from error
                self._first.setdefault(name, value)
                yield 1

    def has(self, name: bytes) -> bool:
        """Whether it was given."""
        return name in self._first

    def has_only(self, name: bytes) -> bool:
        """Whether nothing else was given."""
        return len(self._first) == 1 and name in self._first

    def text(self, name: bytes) -> bytes:
        """What was given; nothing when it was not."""
        return self._first.get(name, b"")

    def number(self, name: bytes, reason: Reason, number_max: int = _NUMBER_MAX) -> int:
        """A number without sign, 0 when it was not given.

        Raises:
            Fault: it is none.

        """
        text = self._first.get(name)
        if text is None:
            return 0
        # Twenty digits are enough for any; zeros before them are allowed.
        number = int(text) if _NUMBER.fullmatch(text) and len(text) < _DIGITS_MAX else None
        if number is None or number > number_max:
            raise Fault(reason, b'invalid value for "%b"' % name)
        return number

    def flag(self, name: bytes, cause: bytes = b"") -> bool:
        """Yes or no, no when it was not given.

        Raises:
            Fault: it is neither.

        """
        text = self._first.get(name)
        if text is None:
            return False
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        raise Fault(Reason.INVALID_FIELD, cause or b'invalid value for "%b"' % name)


class Reading(NamedTuple):
    """A key or a directory to be read, or to be watched."""

    path: bytes
    is_recursive: bool
    # Everything that was acknowledged before has to be seen.
    is_quorum: bool
    # Of etcd 0.3, which sent whoever said so to the leader.
    is_consistent: bool
    is_wait: bool
    is_stream: bool
    # Watch from there on; 0 = from now on.
    wait_index: int


def is_short(request: Request) -> bool:
    """Whether what it asks for is read in one step."""
    return len(request.body) + len(request.query) <= SHORT_BYTES


def read_request(request: Request, path: bytes) -> Reading | Change:
    """What a short request asks of a path.

    Raises:
        Fault: something of it cannot be.

    """
    form = Form()
    form.read(request)
    return _asked(form, request.method, path)


def read_long_request(request: Request, path: bytes) -> Costs[Reading | Change]:
    """The same in steps, for one that may be long.

    Raises:
        Fault: something of it cannot be.

    """
    form = Form()
    yield from form.read_long(request)
    return _asked(form, request.method, path)


def _asked(form: Form, method: str, path: bytes) -> Reading | Change:
    """What parameters ask for.

    Raises:
        Fault: something of it cannot be.

    """
    if method == "PUT" and form.has_only(b"value"):  # what there is most of
        return Change(Kind.SET, path, form.text(b"value"))
    if method == "GET" and form.has_only(b"wait") and form.flag(b"wait"):  # and next to that
        return Reading(path, False, False, False, True, False, 0)
    prev_index = form.number(b"prevIndex", Reason.INDEX_NOT_A_NUMBER)
    wait_index = form.number(b"waitIndex", Reason.INDEX_NOT_A_NUMBER)
    is_recursive = form.flag(b"recursive")
    form.flag(b"sorted")  # it always is; only a wrong value is another
    is_wait = form.flag(b"wait")
    is_dir = form.flag(b"dir")
    is_quorum, is_stream = form.flag(b"quorum"), form.flag(b"stream")
    if is_wait and method != "GET":
        raise Fault(Reason.INVALID_FIELD, '"wait" can only be used with GET requests')
    prev_value = form.text(b"prevValue")
    if form.has(b"prevValue") and not prev_value:
        raise Fault(Reason.PREV_VALUE_REQUIRED, '"prevValue" cannot be empty')
    is_silent = form.flag(b"noValueOnSuccess")
    ttl_s = None
    if form.text(b"ttl"):
        ttl_s = form.number(b"ttl", Reason.TTL_NOT_A_NUMBER, TTL_S_MAX)
    prev_exist = form.flag(b"prevExist", b"invalid value for prevExist")
    is_refresh = form.flag(b"refresh", b"invalid value for refresh")
    if is_refresh and form.text(b"value"):
        raise Fault(Reason.VALUE_ON_REFRESH, "A value was provided on a refresh")
    if is_refresh and ttl_s is None:
        raise Fault(Reason.TTL_REQUIRED_ON_REFRESH, "No TTL value set")
    if method in ("GET", "HEAD"):
        return Reading(
            path=path,
            is_recursive=is_recursive,
            is_quorum=is_quorum,
            is_consistent=form.text(b"consistent").lower() == b"true",
            is_wait=is_wait,
            is_stream=is_stream,
            wait_index=wait_index,
        )
    return Change(
        kind=_kind_of(
            method,
            prev_exist=prev_exist if form.has(b"prevExist") else None,
            is_compared=bool(prev_index or prev_value),
        ),
        path=path,
        value=form.text(b"value"),
        is_dir=is_dir,
        ttl_s=ttl_s,
        is_refresh=is_refresh,
        prev_value=prev_value,
        prev_index=prev_index,
        is_recursive=is_recursive,
        is_silent=is_silent,
    )


def _kind_of(method: str, *, prev_exist: bool | None, is_compared: bool) -> Kind:
    """Which change it is (etcd: apply_v2.go)."""
    if method == "POST":
        return Kind.POST
    if method == "DELETE":
        return Kind.COMPARE_DELETE if is_compared else Kind.DELETE
    if prev_exist is False:
        return Kind.CREATE
    if is_compared:
        return Kind.SWAP
    return Kind.UPDATE if prev_exist else Kind.SET
