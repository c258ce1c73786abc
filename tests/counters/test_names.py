"""Which names a counter may have, and how they lie in a store."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.counters import names
from roost.counters.errors import BadCounterName, MalformedCounters

LARGEST = "\U0001f600" * 128
any_name = st.text(min_size=1, max_size=128).map(lambda it: unicodedata.normalize("NFC", it))
any_name = any_name.filter(lambda it: it.isprintable() and 1 <= len(it) <= 128)


@pytest.mark.parametrize("name", ["a", " ", "users/1/visits", "x" * 128, "Zähler", LARGEST])
def test_printable_names_are_taken(name: str) -> None:
    assert names.decode(names.key_of(name)) == name


@pytest.mark.parametrize(
    ("name", "position", "words"),
    [
        ("", None, "0 characters"),
        ("x" * 129, None, "129 characters"),
        ("a\nb", 1, r"'\n' at position 1 (counted from 0) is of category Cc"),
        ("ab\x7f", 2, r"'\x7f' at position 2"),
        ("\u200bx", 0, r"'\u200b' at position 0 (counted from 0) is of category Cf"),
        ("x\ud800", 1, r"'\ud800' at position 1 (counted from 0) is of category Cs"),
        ("a\u00a0", 1, "category Zs"),
        ("a\u2028", 1, "category Zl"),
        ("ab\u0378", 2, "category Cn"),
        ("xe\u0301", 1, "'e' at position 1 (counted from 0) is not in composed form"),
        ("\u212b", 0, r"'\u212b' at position 0"),
    ],
)
def test_a_refusal_names_the_character_and_its_place(
    name: str, position: int | None, words: str
) -> None:
    with pytest.raises(BadCounterName) as caught:
        names.key_of(name)
    assert words in str(caught.value)
    assert caught.value.position == position


@given(any_name, any_name)
def test_keys_sort_as_code_points_do(one: str, two: str) -> None:
    assert (one < two) == (names.encode(one) < names.encode(two))


@given(any_name)
def test_every_name_fits_into_a_key_of_lmdb_and_comes_back(name: str) -> None:
    assert names.decode(names.encode(name)) == name
    assert len(names.encode(name)) <= 3 * 128


@given(any_name, st.integers(0, 128))
def test_a_range_of_keys_has_what_begins_so_and_nothing_else(name: str, size: int) -> None:
    beginning, key = names.encode(name[:size]), names.encode(name)
    stop = names.stop_of(beginning)
    assert beginning <= key
    assert stop is None or key < stop
    other = names.encode("\U0010ffff" + name)
    assert other.startswith(beginning) == (beginning <= other and (stop is None or other < stop))


@given(st.binary(max_size=400))
def test_bytes_from_outside_are_a_name_or_malformed(key: bytes) -> None:
    try:
        name = names.decode(key)
    except MalformedCounters:
        return
    assert names.encode(name) == key


@pytest.mark.parametrize(
    "key",
    [b"", b"x" * 129, b"\x80\x7f", b"\xc0\x00\x80", b"\xd1\x00\x00", b"\x80", b"\xc0\xd8\x00"],
)
def test_what_is_no_key_is_found(key: bytes) -> None:
    with pytest.raises(MalformedCounters):
        names.decode(key)
