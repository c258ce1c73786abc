"""What a status means for whoever asked: a table."""

import pytest

from roost import errors
from roost.client import (
    Busy,
    ClientError,
    Compacted,
    LeaseNotFound,
    NoSpace,
    NotLoggedIn,
    OutcomeUnknown,
    PermissionDenied,
    RequestRefused,
    TooLarge,
    Unreachable,
    is_lost,
)
from roost.client.errors import error_of, words_of

TOO_LARGE = "eceived message larger than max (9 vs. 8)"
# code, text -> of a question, of a change.
TABLE: dict[tuple[str, str], tuple[type[ClientError], type[ClientError]]] = {
    ("UNAVAILABLE", "failed to connect to all addresses"): (Unreachable, Unreachable),
    ("UNAVAILABLE", "Socket closed"): (Unreachable, OutcomeUnknown),
    ("UNAVAILABLE", "etcdserver: no leader"): (Busy, Busy),
    ("UNAVAILABLE", "etcdserver: leader changed"): (Unreachable, OutcomeUnknown),
    ("UNAVAILABLE", "etcdserver: request timed out"): (Unreachable, OutcomeUnknown),
    ("UNAVAILABLE", "etcdserver: unhealthy cluster"): (Busy, Busy),
    ("UNAVAILABLE", "etcdserver: rpc not supported for learner"): (Busy, Busy),
    ("RESOURCE_EXHAUSTED", "etcdserver: too many requests"): (Busy, Busy),
    ("RESOURCE_EXHAUSTED", "etcdserver: too little memory is left: 3 MiB"): (Busy, Busy),
    ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded"): (NoSpace, NoSpace),
    ("RESOURCE_EXHAUSTED", f"grpc: r{TOO_LARGE}"): (TooLarge, TooLarge),
    ("RESOURCE_EXHAUSTED", f"CLIENT: R{TOO_LARGE}"): (TooLarge, OutcomeUnknown),
    ("DEADLINE_EXCEEDED", "Deadline Exceeded"): (Unreachable, OutcomeUnknown),
    ("INTERNAL", "internal error"): (ClientError, OutcomeUnknown),
    ("CANCELLED", ""): (ClientError, OutcomeUnknown),
    ("UNKNOWN", "Stream removed"): (ClientError, OutcomeUnknown),
    ("UNKNOWN", "etcdserver: re-configuration failed"): (RequestRefused, RequestRefused),
    ("INVALID_ARGUMENT", "etcdserver: request is too large"): (TooLarge, TooLarge),
    ("NOT_FOUND", "etcdserver: requested lease not found"): (LeaseNotFound, LeaseNotFound),
    ("PERMISSION_DENIED", "etcdserver: permission denied"): (PermissionDenied, PermissionDenied),
    ("UNAUTHENTICATED", "etcdserver: invalid auth token"): (NotLoggedIn, NotLoggedIn),
    ("OUT_OF_RANGE", "mvcc: required revision has been compacted"): (Compacted, Compacted),
    ("DATA_LOSS", "etcdserver: corrupt cluster"): (RequestRefused, RequestRefused),
}


@pytest.mark.parametrize(("code", "text"), TABLE)
def test_a_status_is_an_error_by_what_can_be_done(code: str, text: str) -> None:
    question, change = TABLE[code, text]
    for kind, is_change in ((question, False), (change, True)):
        error = error_of(code, text, is_change=is_change)
        assert type(error) is kind
        assert (error.code, error.text) == (code, text)
        # What a caller of the library catches holds for a client, too.
        assert isinstance(error, errors.NotExecuted) == (kind in (Unreachable, Busy))
        assert isinstance(error, errors.OutcomeUnknown) == (kind is OutcomeUnknown)
        assert isinstance(error, errors.Refused) == issubclass(kind, RequestRefused)


@pytest.mark.parametrize("text", ["", "Deadline Exceeded", "Stream removed (Deadline Exceeded)"])
def test_that_nothing_came_in_time_is_said_in_our_words_and_of_whom(text: str) -> None:
    words = words_of("m3:2379", "DEADLINE_EXCEEDED", text)
    said = error_of("DEADLINE_EXCEEDED", words, is_change=True)
    assert str(said) == "m3:2379: no answer in time (DEADLINE_EXCEEDED)"
    assert isinstance(said, errors.OutcomeUnknown)


def test_what_a_member_says_of_the_time_is_told_as_it_is() -> None:
    for code, text in (("DEADLINE_EXCEEDED", "etcdserver: too late"), ("UNAVAILABLE", "")):
        assert words_of("m3:2379", code, text) == text


def test_a_refusal_is_not_asked_elsewhere() -> None:
    assert not is_lost(
        error_of("NOT_FOUND", "etcdserver: requested lease not found", is_change=True)
    )
    for code, text in (("UNAVAILABLE", "x"), ("UNKNOWN", "Stream removed"), ("INTERNAL", "")):
        assert is_lost(error_of(code, text, is_change=False))
