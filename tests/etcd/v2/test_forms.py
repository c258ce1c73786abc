"""What a request asks for, and what is wrong with it; the faults are etcd 3.5.1's."""

import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.etcd.model.costs import SLICE_ROWS, at_once
from roost.etcd.v2.faults import Fault, Reason
from roost.etcd.v2.forms import (
    FORM,
    PARAMETERS_MAX,
    TTL_S_MAX,
    BadEscape,
    Form,
    Reading,
    is_short,
    read_long_request,
    read_request,
    unescaped,
)
from roost.etcd.v2.values import Change, Kind
from roost.exchange import Request
from tests.etcd.v2.face import Sender


def request(
    method: str = "PUT", query: bytes = b"", body: bytes = b"", kind: bytes = FORM
) -> Request:
    return Request(
        method=method,
        raw_path=b"/v2/keys/a",
        query=query,
        caller=Sender(),
        headers={b"content-type": kind},
        body=body,
    )


def same_fault(one: Fault, other: Fault) -> None:
    assert (one.reason, one.cause) == (other.reason, other.cause)


def read(asked: Request) -> Reading | Change:
    """What it asks for, read in steps, and at once when it is short: both say the same."""
    try:
        found = at_once(read_long_request(asked, b"/a"))
    except Fault as fault:
        if is_short(asked):
            with pytest.raises(Fault) as caught:
                read_request(asked, b"/a")
            same_fault(caught.value, fault)
        raise
    if is_short(asked):
        assert read_request(asked, b"/a") == found
    return found


def change(method: str = "PUT", query: bytes = b"", body: bytes = b"") -> Change:
    found = read(request(method, query, body))
    assert isinstance(found, Change)
    return found


def fault(method: str = "PUT", query: bytes = b"", body: bytes = b"") -> tuple[int, bytes]:
    with pytest.raises(Fault) as caught:
        read(request(method, query, body))
    assert caught.value.index == 0
    return caught.value.reason, caught.value.cause


@pytest.mark.parametrize(
    ("method", "query", "kind"),
    [
        ("PUT", b"", Kind.SET),
        ("PUT", b"prevExist=false&prevValue=1", Kind.CREATE),
        ("PUT", b"prevExist=true", Kind.UPDATE),
        ("PUT", b"prevExist=true&prevValue=1", Kind.SWAP),
        ("PUT", b"prevIndex=7", Kind.SWAP),
        ("PUT", b"prevIndex=0", Kind.SET),
        ("POST", b"prevIndex=7&prevExist=true", Kind.POST),
        ("DELETE", b"", Kind.DELETE),
        ("DELETE", b"prevIndex=7", Kind.COMPARE_DELETE),
        ("DELETE", b"prevValue=x&recursive=true", Kind.COMPARE_DELETE),
    ],
)
def test_what_is_asked_for_goes_by_method_and_conditions(
    method: str, query: bytes, kind: Kind
) -> None:
    assert change(method, query).kind is kind


def test_the_body_comes_before_the_query_and_the_first_of_each_counts() -> None:
    assert change(query=b"value=q", body=b"value=1&value=2").value == b"1"
    assert change(query=b"value=q&value=r").value == b"q"
    assert change("DELETE", b"", b"prevIndex=3").kind is Kind.DELETE


def test_a_body_of_another_kind_is_no_form() -> None:
    found = read(request(body=b"value=1", kind=b"application/json"))
    assert isinstance(found, Change)
    assert found.value == b""
    found = read(request(body=b"value=1", kind=FORM + b"; charset=utf-8"))
    assert isinstance(found, Change)
    assert found.value == b"1"


def test_parameters_are_parted_and_unescaped_as_go_does() -> None:
    assert change(body=b"a;b=2;value=x+%2B%ff%00").value == b"x +\xff\0"
    assert change(body=b"&&=&val%75e=1").value == b"1"


@pytest.mark.parametrize(
    ("body", "shown"), [(b"value=%zz1", b'"%zz"'), (b"a%=1", b'"%"'), (b"x=%2", b'"%2"')]
)
def test_a_broken_escape_is_named(body: bytes, shown: bytes) -> None:
    assert fault(body=body) == (Reason.INVALID_FORM, b"invalid URL escape " + shown)
    assert fault("GET", query=body) == (Reason.INVALID_FORM, b"invalid URL escape " + shown)


@pytest.mark.parametrize("name", [b"recursive", b"sorted", b"wait", b"dir", b"quorum", b"stream"])
def test_a_flag_is_yes_or_no(name: bytes) -> None:
    for text in (b"", b"yes", b"TrUe", b"2"):
        cause = b'invalid value for "%b"' % name
        assert fault("GET", name + b"=" + text) == (Reason.INVALID_FIELD, cause)
    for text in (b"1", b"t", b"T", b"TRUE", b"true", b"True"):
        read(request("GET", name + b"=" + text))


@pytest.mark.parametrize(
    ("query", "reason", "cause"),
    [
        (b"prevIndex=", Reason.INDEX_NOT_A_NUMBER, b'invalid value for "prevIndex"'),
        (b"prevIndex=-1", Reason.INDEX_NOT_A_NUMBER, b'invalid value for "prevIndex"'),
        (b"waitIndex=1.5", Reason.INDEX_NOT_A_NUMBER, b'invalid value for "waitIndex"'),
        (b"waitIndex=18446744073709551616", Reason.INDEX_NOT_A_NUMBER,
         b'invalid value for "waitIndex"'),
        (b"ttl=x", Reason.TTL_NOT_A_NUMBER, b'invalid value for "ttl"'),
        (b"ttl=4294967297", Reason.TTL_NOT_A_NUMBER, b'invalid value for "ttl"'),
        (b"prevValue=", Reason.PREV_VALUE_REQUIRED, b'"prevValue" cannot be empty'),
        (b"prevExist=", Reason.INVALID_FIELD, b"invalid value for prevExist"),
        (b"refresh=x", Reason.INVALID_FIELD, b"invalid value for refresh"),
        (b"noValueOnSuccess=x", Reason.INVALID_FIELD, b'invalid value for "noValueOnSuccess"'),
        (b"refresh=1&value=2&ttl=1", Reason.VALUE_ON_REFRESH,
         b"A value was provided on a refresh"),
        (b"refresh=1", Reason.TTL_REQUIRED_ON_REFRESH, b"No TTL value set"),
        (b"wait=true", Reason.INVALID_FIELD, b'"wait" can only be used with GET requests'),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named(query: bytes, reason: Reason, cause: bytes) -> None:
    assert fault(query=query) == (reason, cause)


def test_an_empty_time_to_live_is_none_and_the_longest_is_taken() -> None:
    assert change(body=b"ttl=").ttl_s is None
    assert change(body=b"ttl=0").ttl_s == 0
    assert change(body=b"ttl=%d" % TTL_S_MAX).ttl_s == TTL_S_MAX


def test_a_refresh_with_an_empty_value_is_one() -> None:
    assert change(body=b"refresh=true&ttl=5&value=").is_refresh


def test_a_read_says_what_is_to_be_seen() -> None:
    asked = request("GET", b"recursive=1&quorum=true&wait=true&stream=true&waitIndex=007")
    found = read(asked)
    assert found == Reading(
        path=b"/a",
        is_recursive=True,
        is_quorum=True,
        is_consistent=False,
        is_wait=True,
        is_stream=True,
        wait_index=7,
    )


def test_a_form_has_a_bound() -> None:
    at_once(Form().read_long(request(body=b"&".join([b"a"] * PARAMETERS_MAX))))
    with pytest.raises(Fault):
        at_once(Form().read_long(request(body=b"&".join([b"a"] * (PARAMETERS_MAX + 1)))))


@given(st.lists(st.sampled_from([b"%41", b"%ff", b"%%", b"%4", b"%", b"=", b"=41", b"a", b"\n"])))
def test_escapes_are_read_as_one_by_one(parts: list[bytes]) -> None:
    text = b"".join(parts)
    if re.search(rb"%(?![0-9a-fA-F]{2})", text):
        with pytest.raises(BadEscape, match='invalid URL escape "%'):
            unescaped(text)
    else:
        assert unescaped(text) == unquote_to_bytes(text)


def test_a_long_form_is_read_in_steps_that_are_bounded() -> None:
    """One of two megabytes that was nothing but escapes held the loop for half a second."""
    for parted in (b"", b"a", b"ab"):
        steps = read_long_request(request(body=b"value=" + parted + b"%e2%82%ac" * 200_000), b"/a")
        costs = []
        while True:
            try:
                costs.append(next(steps))
            except StopIteration as end:
                found = end.value
                break
        assert isinstance(found, Change)
        assert found.value == parted + "\u20ac".encode() * 200_000
        assert len(costs) > 50
        assert max(costs) <= SLICE_ROWS
    with pytest.raises(Fault) as caught:
        read(request(body=b"value=" + b"%41" * 200_000 + b"%4"))
    assert caught.value.cause == b'invalid URL escape "%4"'


@pytest.mark.parametrize("kind", [b"/", b"bogus/", b"a b", FORM + b";;;", FORM + b"; x"])
def test_a_body_that_says_to_be_nothing_is_refused_and_its_value_not_lost(kind: bytes) -> None:
    """As Go's ParseForm does; what is another kind of body is not looked at."""
    with pytest.raises(Fault) as refused:
        read(request(body=b"value=1", kind=kind))
    assert refused.value.reason is Reason.INVALID_FORM


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (FORM + b"; charset=utf-8", b"1"),
        (FORM.upper() + b' ; a="b c";', b"1"),
        (b"multipart/form-data; boundary=x", b""),
        (b"text", b""),
        (b"", b""),
    ],
)
def test_a_body_is_a_form_when_it_says_so(kind: bytes, value: bytes) -> None:
    asked = read(request(body=b"value=1", kind=kind))
    assert isinstance(asked, Change)
    assert asked.value == value


@pytest.mark.parametrize("text", [b"true", b"1", b"T"])
def test_a_plain_wait_is_as_any_other(text: bytes) -> None:
    plain = read(request("GET", b"wait=" + text))
    assert plain == read(request("GET", b"recursive=false&wait=" + text))
    assert isinstance(plain, Reading)
    assert plain.is_wait
    assert read(request("GET", b"wait=false")) == read(request("GET"))
    with pytest.raises(Fault, match="Invalid field"):
        read(request("PUT", b"wait=true"))
