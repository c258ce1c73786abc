"""Rows that follow from keys, against a dumb way of writing them down; bytes that are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.store import MalformedWriteSet, Txn
from roost.store.columns import (
    CONSTANT,
    COUNTER,
    ESCAPED_KEY,
    EXPANDED_BYTES_MAX,
    KEY,
    MEASURED_KEY,
    Column,
    Piece,
    cost_of,
    encode_columns,
    encode_keys,
    expand,
)
from roost.store.layer import Layer
from roost.store.write_set import HEAD, ROWS, decode
from tests.store.stacks import TREE, DictBase

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
    found, left = expand(encode_columns(columns), encode_keys(keys))
    taken = sum(sum(map(len, rows.names)) + sum(map(len, rows.values or ())) for rows in found)
    assert taken <= EXPANDED_BYTES_MAX - left == cost_of(columns, len(keys), sum(map(len, keys)))
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


LONG = Column(TREE, (Piece(KEY),))


def record_of(keys: list[bytes]) -> bytes:
    columns, carried = encode_columns([LONG]), encode_keys(keys)
    return HEAD.pack(ROWS, 0, len(columns), len(carried)) + columns + carried


def test_a_few_bytes_that_stand_for_more_than_a_write_set_may_hold_are_malformed() -> None:
    """One text that all begin with, and two bytes a key: a gigabyte, of which nothing is made."""
    record = record_of([bytes(60_000)] * 20_000)
    assert len(record) < 110_000
    with pytest.raises(MalformedWriteSet, match="more than a write set may hold"):
        decode(record)


def test_many_records_of_a_write_set_stand_together_for_no_more_than_one() -> None:
    record = record_of([bytes(60_000)] * 200)
    room = EXPANDED_BYTES_MAX // cost_of([LONG], 200, 200 * 60_000)
    assert len(decode(record * room)) == 200 * room
    with pytest.raises(MalformedWriteSet, match="more than a write set may hold"):
        decode(record * (room + 1))


def test_what_is_more_than_columns_may_stand_for_is_written_as_rows() -> None:
    columns = (LONG, Column(TREE + 1, (Piece(CONSTANT, constant=b"-"), Piece(KEY)), (Piece(KEY),)))
    txn, all_keys = Txn([], DictBase({})), list[bytes]()
    for number in range(12):
        keys = [bytes(200_000) + b"%03d" % it for it in range(10 * number, 10 * number + 10)]
        all_keys += keys
        txn.write_rows(columns, keys)
    assert txn.size_bytes > 4 * 10 * 3 * 200_000, "the last four are rows, and count as rows"
    assert txn.encoded_bytes >= len(txn.encode())
    assert [it[2:] for it in decode(txn.encode()) if it[1] == TREE] == [
        (it, None) for it in all_keys
    ]
    layer = Layer()
    layer.carry_out(txn.encode())
    for tree_id in (TREE, TREE + 1):
        held = layer.tree(tree_id).values.items()
        assert list(held) == list(txn.layer.tree(tree_id).values.items())
