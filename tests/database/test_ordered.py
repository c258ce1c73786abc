"""Bytes sort as the tuples that they are made of."""

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.database import BadKey, KeyUndecodable
from roost.database.ordered import (
    DEPTH_MAX,
    INT_BYTES_MAX,
    Part,
    after_parts,
    after_prefix,
    decode_part,
    decode_parts,
    encode_part,
    encode_parts,
)

NUMBERS = st.one_of(
    st.integers(-300, 300), st.integers(-(1 << 8 * INT_BYTES_MAX) + 1, (1 << 8 * INT_BYTES_MAX) - 1)
)
# Zeros and 0xff are what an escape could get wrong.
BYTES = st.one_of(st.binary(max_size=8), st.text("\0\x01a", max_size=6).map(str.encode),
                  st.lists(st.sampled_from([0, 1, 254, 255]), max_size=6).map(bytes))  # fmt: skip
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
MOMENTS = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7, minutes=30))]))
KINDS = {"bytes": BYTES, "str": TEXTS, "int": NUMBERS, "datetime": MOMENTS}


def of_shape(shape: object) -> st.SearchStrategy[Any]:
    """Parts of one shape: a kind, or a tuple of shapes."""
    if isinstance(shape, tuple):
        return st.tuples(*map(of_shape, shape))
    return KINDS[str(shape)]


SHAPES = st.recursive(
    st.sampled_from(sorted(KINDS)), lambda inner: st.lists(inner, max_size=3).map(tuple)
)
PAIRS = SHAPES.flatmap(lambda shape: st.tuples(of_shape(shape), of_shape(shape)))
VARIED = st.sampled_from(sorted(KINDS)).flatmap(
    lambda kind: st.tuples(st.lists(KINDS[kind], max_size=4), st.lists(KINDS[kind], max_size=4))
)


@given(PAIRS)
def test_bytes_sort_as_what_they_are_made_of(pair: tuple[Part, Part]) -> None:
    one, other = pair
    encoded = encode_part(one), encode_part(other)
    assert (encoded[0] < encoded[1]) == (one < other)  # type: ignore[operator]  # of one shape
    assert (encoded[0] == encoded[1]) == (one == other)


@given(VARIED)
def test_tuples_of_different_lengths_sort_as_tuples_do(pair: tuple[list[Part], ...]) -> None:
    one, other = map(tuple, pair)
    assert (encode_parts(one) < encode_parts(other)) == (one < other)
    assert (encode_part(one) < encode_part(other)) == (one < other)


@given(PAIRS)
def test_what_is_decoded_is_what_was_encoded(pair: tuple[Part, Part]) -> None:
    assert decode_parts(encode_parts(pair)) == pair
    assert decode_part(encode_part(pair[0])) == pair[0]


@given(VARIED)
def test_what_begins_with_a_tuple_lies_in_the_range_of_its_prefix(
    pair: tuple[list[Part], ...],
) -> None:
    begin, more = map(tuple, pair)
    prefix, whole = encode_parts(begin), encode_parts((*begin, *more))
    stop = after_parts(prefix)
    assert prefix <= whole < stop
    if len(more) >= len(begin) and more[: len(begin)] != begin:
        other = encode_parts(more)
        assert not prefix <= other < stop


@given(st.binary(max_size=40))
def test_any_bytes_are_a_key_or_are_refused(content: bytes) -> None:
    try:
        parts = decode_parts(content)
    except KeyUndecodable:
        return
    assert encode_parts(parts) == content, "one key has one form"


@given(BYTES)
def test_behind_a_prefix_is_nothing_that_begins_with_it(prefix: bytes) -> None:
    stop = after_prefix(prefix)
    if stop is None:
        assert prefix == b"\xff" * len(prefix)
    else:
        assert prefix + b"\xff" * 8 < stop
        assert not stop.startswith(prefix) or not prefix


class Nowhere(tzinfo):
    """A time zone that says nothing."""

    def utcoffset(self, _moment: datetime | None) -> None:
        return None

    dst = tzname = utcoffset


def nested(depth: int) -> Part:
    part: Part = ()
    for _ in range(depth - 1):
        part = (part,)
    return part


@pytest.mark.parametrize(
    "part",
    [
        True,
        1.5,
        None,
        [1],
        "\ud800",
        datetime(2026, 1, 1),  # noqa: DTZ001 - that is the point
        datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
        datetime(2026, 1, 1, tzinfo=Nowhere()),
        1 << 8 * INT_BYTES_MAX,
        -(1 << 8 * INT_BYTES_MAX),
        nested(DEPTH_MAX + 1),
    ],
)
def test_what_has_no_place_in_the_order_is_refused(part: Part) -> None:
    with pytest.raises(BadKey):
        encode_part(part)
    with pytest.raises(BadKey):
        encode_parts((1, part))


def test_the_bounds_themselves_are_kept() -> None:
    for part in (nested(DEPTH_MAX), (1 << 8 * INT_BYTES_MAX) - 1, 1 - (1 << 8 * INT_BYTES_MAX)):
        assert decode_part(encode_part(part)) == part


def test_moments_in_different_time_zones_are_one_key() -> None:
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    assert encode_part(noon) == encode_part(noon.astimezone(timezone(timedelta(hours=9))))
