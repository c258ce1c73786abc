"""Rows that follow from keys, against a dumb way of writing them down; bytes that are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.store import MalformedWriteSet
from roost.store.columns import (
    CONSTANT,
    COUNTER,
    ESCAPED_KEY,
    KEY,
    MEASURED_KEY,
    Column,
    Piece,
    encode_columns,
    encode_keys,
    expand,
)

KEYS = st.lists(
    st.one_of(
        st.lists(st.sampled_from([0, 1, 2, 0xFF]), max_size=4).map(bytes),
        st.integers(120, 140).map(bytes),
        st.sampled_from([bytes(0x3FFF), bytes(0x4000), bytes(0x20_0000)]),
    ),
    max_size=4,
)
PIECES = st.lists(
    st.one_of(
        st.builds(Piece, st.just(CONSTANT), constant=st.binary(max_size=3)),
        st.builds(Piece, st.just(COUNTER), first=st.sampled_from([0, 7, 255, 1 << 63])),
        st.sampled_from([Piece(KEY), Piece(ESCAPED_KEY), Piece(MEASURED_KEY)]),
    ),
    max_size=3,
).map(tuple)
COLUMNS = st.lists(
    st.builds(Column, st.integers(0, 0xFFFF), PIECES, st.none() | PIECES), max_size=3
)


def told(pieces: tuple[Piece, ...], key: bytes, position: int) -> bytes:
    """What pieces come to for one key."""
    text = b""
    for piece in pieces:
        if piece.kind == CONSTANT:
            text += piece.constant
        elif piece.kind == COUNTER:
            text += (piece.first + position).to_bytes(8, "big")
        elif piece.kind == KEY:
            text += key
        elif piece.kind == ESCAPED_KEY:
            text += b"".join(b"\0\xff" if it == 0 else bytes([it]) for it in key) + b"\0\x01"
        else:
            length = len(key)
            while length > 127:
                text += bytes([length & 127 | 128])
                length >>= 7
            text += bytes([length]) + key
    return text


@given(COLUMNS, KEYS)
def test_rows_are_what_their_columns_say_of_each_key(
    columns: list[Column], keys: list[bytes]
) -> None:
    found = expand(encode_columns(columns), encode_keys(keys))
    assert [it.tree_id for it in found] == [it.tree_id for it in columns]
    for rows, column in zip(found, columns, strict=True):
        assert rows.names == [told(column.name, key, at) for at, key in enumerate(keys)]
        if column.value is None:
            assert rows.values is None
        else:
            assert rows.values == [told(column.value, key, at) for at, key in enumerate(keys)]


@given(st.binary(max_size=40), st.binary(max_size=12))
def test_any_other_bytes_are_malformed_and_nothing_else(columns: bytes, keys: bytes) -> None:
    try:
        expand(columns, keys)
    except MalformedWriteSet:
        return
    assert columns, "no columns are not even a count of them"


@given(COLUMNS, KEYS, st.data())
def test_what_ends_early_is_malformed(
    columns: list[Column], keys: list[bytes], data: st.DataObject
) -> None:
    said, carried = encode_columns(columns), encode_keys(keys)
    with pytest.raises(MalformedWriteSet):
        expand(said[: data.draw(st.integers(0, len(said) - 1))], carried)
    with pytest.raises(MalformedWriteSet):
        expand(said + b"\0", carried)
    with pytest.raises(MalformedWriteSet):
        expand(said, carried + b"\x05abcd")
    with pytest.raises(MalformedWriteSet):
        expand(said, carried[: data.draw(st.integers(0, len(carried) - 1))])
