"""JSON as Go's encoder writes it; the expected texts were said by etcd 3.5.1."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.etcd.v2.json_text import (
    date_text,
    duration_text,
    quoted,
    quoted_pieces,
    seconds_left,
)

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", b'""'),
        (b"plain ~\x7f", b'"plain ~\x7f"'),
        (b"\0\x01\x08\x0c\n\r\t", rb'"\u0000\u0001\u0008\u000c\n\r\t"'),
        (b'"\\', rb'"\"\\"'),
        (b"<a>&", rb'"\u003ca\u003e\u0026"'),
        ("\u00e9\u2028\u2029\U0001f600".encode(), '"\u00e9\\u2028\\u2029\U0001f600"'.encode()),
        (b"\xffa\xe2\x80", rb'"\ufffda\ufffd\ufffd"'),
        ("\ufffd".encode(), '"\ufffd"'.encode()),
    ],
)
def test_a_string_is_escaped_as_go_does(data: bytes, text: bytes) -> None:
    assert quoted(data) == text


@given(st.text())
def test_whatever_is_text_is_read_again(text: str) -> None:
    assert (
        json.loads(quoted(text.encode(errors="replace"))) == text.encode(errors="replace").decode()
    )


@given(st.binary())
def test_whatever_it_is_it_is_json(data: bytes) -> None:
    json.loads(quoted(data))


@pytest.mark.parametrize(
    ("at_ns", "text"),
    [
        (0, b"1970-01-01T00:00:00Z"),
        (1_500_000_000, b"1970-01-01T00:00:01.5Z"),
        (1_767_268_810_000_000_001, b"2026-01-01T12:00:10.000000001Z"),
        (1_767_268_810_120_000_000, b"2026-01-01T12:00:10.12Z"),
    ],
)
def test_a_date_has_the_digits_it_needs(at_ns: int, text: bytes) -> None:
    assert date_text(at_ns) == text


@pytest.mark.parametrize(
    ("length_ns", "text"),
    [
        (35_497_930_955, "35.497930955s"),
        (0, "0s"),
        (7, "7ns"),
        (1_500, "1.5\u00b5s"),
        (250_000_000, "250ms"),
        (SECOND, "1s"),
        (60 * SECOND, "1m0s"),
        (3_661_500_000_000, "1h1m1.5s"),
        (30 * 3600 * SECOND, "30h0m0s"),
    ],
)
def test_a_length_of_time_is_written_as_go_does(length_ns: int, text: str) -> None:
    assert duration_text(length_ns) == text


@pytest.mark.parametrize(
    ("left_ns", "left_s"),
    [(SECOND, 1), (SECOND + 1, 2), (1, 1), (0, 0), (-1, 0), (-SECOND, -1)],
)
def test_what_is_left_is_rounded_up(left_ns: int, left_s: int) -> None:
    assert seconds_left(5 * SECOND + left_ns, 5 * SECOND) == left_s


@given(
    st.lists(st.sampled_from([b"a", b"<", b"\xe2\x82\xac", b"\xe2\x82", b"\x80", b"\xff", b"\x01"]))
)
def test_what_is_long_is_written_in_pieces_that_say_the_same(parts: list[bytes]) -> None:
    data = b"".join(parts)
    for size in (4, 5, 7):
        pieces = list(quoted_pieces(data, size))
        assert b"".join(pieces) == quoted(data)
        assert max(map(len, pieces)) <= 6 * size
