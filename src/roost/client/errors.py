"""What a call to a cluster can end with; what is told apart is what the caller does next."""

import re

from roost import errors
from roost.errors import CallerFault, NotExecuted, Refused, RoostError


class ClientError(RoostError):
    """A call failed; `code` is the name of a status code, `text` the server's words, or ours."""

    def __init__(self, code: str, text: str) -> None:
        """Keep both."""
        super().__init__(f"{text} ({code})" if text else code)
        self.code = code
        self.text = text


class Unreachable(ClientError, NotExecuted):
    """No endpoint answered, and nothing has happened; asking again is safe."""


class Busy(ClientError, NotExecuted):
    """A member turned it away before it ran: nobody leads, or too much waits; nothing happened."""


class OutcomeUnknown(ClientError, errors.OutcomeUnknown):
    """A change was sent, and no answer came: it may have happened, or happen yet, or never."""


class BadEndpoint(ClientError, CallerFault):
    """An endpoint is missing or cannot be one; nothing was tried."""

    def __init__(self, text: str) -> None:
        """Say what to write instead."""
        super().__init__("INVALID_ARGUMENT", text)

    def __str__(self) -> str:
        """Without a code: nobody was asked."""
        return self.text


class WrongLoop(CallerFault):
    """A client for asyncio was called on another event loop than before; nothing was tried."""


class RequestRefused(ClientError, Refused):
    """The cluster said no; nothing happened, and asking the same again is of no use."""


class Compacted(RequestRefused):
    """The revisions asked for are forgotten; what is left begins at `revision`, 0 = not said."""

    def __init__(self, revision: int, text: str) -> None:
        """Keep where history begins."""
        super().__init__("OUT_OF_RANGE", text)
        self.revision = revision


class PermissionDenied(RequestRefused):
    """The user has no role that may do this."""


class NotLoggedIn(RequestRefused):
    """The cluster wants to know who asks, or does not believe it."""


class NoSpace(RequestRefused):
    """The store is as large as it may be: writes are refused until it is compacted."""


class TooLarge(RequestRefused):
    """The request has more bytes, or more operations, than members take at once."""


class LeaseNotFound(RequestRefused):
    """There is no such lease: it has ended, or never was."""


class OperationRefused(RequestRefused):
    """An operation of the application said no; `kind` names its error, `reason` is its own code."""

    def __init__(self, kind: str, text: str, reason: str) -> None:
        """Keep all three."""
        super().__init__("FAILED_PRECONDITION", text)
        self.kind = kind
        self.reason = reason

    def __str__(self) -> str:
        """In its own words."""
        return self.text


class CounterRefused(RequestRefused):
    """A request about counters may not be, and nothing was changed; `kind` names the error."""

    def __init__(self, code: str, kind: str, text: str) -> None:
        """Keep all three."""
        super().__init__(code, text)
        self.kind = kind


class LeaseLost(ClientError):
    """A lease is gone, or nobody can say that it is not; what rests on it may be another's."""

    def __init__(self, lease_id: int, why: str) -> None:
        """Say which, and why."""
        super().__init__("NOT_FOUND", f"lease {lease_id:x} {why}")
        self.lease_id = lease_id

    def __str__(self) -> str:
        """Without a code: it is we who say so."""
        return self.text


class WaitedTooLong(ClientError):
    """It was not our turn in time; we are out of the line."""

    def __init__(self, text: str) -> None:
        """Say what was waited for."""
        super().__init__("DEADLINE_EXCEEDED", text)


class Contended(ClientError):
    """A transaction was overtaken by others as often as it was tried; nothing was written."""

    def __init__(self, attempts_count: int) -> None:
        """Say how often."""
        super().__init__("ABORTED", f"{attempts_count} attempts were overtaken by other writers")


# What a refusal is known by, in etcd's words (etcd api: rpctypes/error.go).
_REFUSALS: tuple[tuple[str, type[RequestRefused]], ...] = (
    ("permission denied", PermissionDenied),
    ("user name is empty", NotLoggedIn),
    ("invalid auth token", NotLoggedIn),
    ("invalid user ID or password", NotLoggedIn),
    ("database space exceeded", NoSpace),
    ("request is too large", TooLarge),
    ("too many operations in txn", TooLarge),
    ("eceived message larger than max", TooLarge),
    ("requested lease not found", LeaseNotFound),
)
# Before what gRPC says of an answer that it does not take: the request was done.
_OURS = "CLIENT:"
# The code of a call whose time is over.
LATE = "DEADLINE_EXCEEDED"
# A member says these before it begins, and never later.
_TURNED_AWAY = (
    "no leader",
    "too many requests",
    "rpc not supported for learner",
    "unhealthy cluster",
)
# What a member says when it has counted nothing, and asking anybody again is safe; and before what
# may not be.
_NOT_COUNTED = "counters: nothing was counted: "
_COUNTERS = re.compile(
    "(BadCounterName|BadChange|BadCounterRequest|CounterOverflow|KeyReused|PurgeRefused"
    "|RetireRefused): "
)
_SHORT = "too little memory is left"
# After these nobody can say whether it was done.
_LOST = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "INTERNAL")
# How gRPC says that a connection broke, when it knows no better.
_REMOVED = "Stream removed"
_NOT_SENT = ("failed to connect", "connections to all backends failing", "name resolution")


def error_of(code: str, text: str, *, is_change: bool) -> ClientError:
    """What a status means; `is_change` says that something may have been done."""
    if text.endswith("has been compacted"):
        return Compacted(0, text)
    if is_change and text.startswith(_OURS):
        return OutcomeUnknown(code, text)
    if text.startswith(_NOT_COUNTED):
        return Busy(code, text)
    if (named := _COUNTERS.match(text)) is not None:
        return CounterRefused(code, named[1], text)
    for words, kind in _REFUSALS:
        if words in text:
            return kind(code, text)
    if any(text.endswith(it) for it in _TURNED_AWAY) or _SHORT in text:
        return Busy(code, text)
    if code == "UNAVAILABLE" and any(it in text.lower() for it in _NOT_SENT):
        return Unreachable(code, text)
    if code not in _LOST and text != _REMOVED:
        return RequestRefused(code, text)
    if is_change:
        return OutcomeUnknown(code, text)
    return Unreachable(code, text) if code in _LOST[:2] else ClientError(code, text)


def words_of(endpoint: str, code: str, text: str) -> str:
    """What a call ended with; that nothing came in time is said in our words, not in gRPC's."""
    is_theirs = code == LATE and (not text or "Deadline Exceeded" in text)
    return f"{endpoint}: no answer in time" if is_theirs else text


def is_lost(error: ClientError) -> bool:
    """Whether another endpoint may do better: this one is gone, or says nothing."""
    if isinstance(error, RequestRefused | LeaseLost | WaitedTooLong | Contended):
        return False
    is_theirs = error.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL")
    return is_theirs or error.text == _REMOVED or isinstance(error, Busy)
