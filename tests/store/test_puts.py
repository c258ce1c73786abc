"""Rows as lists: what is carried is what was written, and whatever is not of the form is refused.

What carries them is written by hand here, by the table at the top of `puts.py`.
"""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.store import MalformedWriteSet
from roost.store.layer import Layer
from roost.store.puts import decode_puts, encode_puts
from roost.store.rows import Puts
from roost.store.runs import Run
from roost.store.write_set import DELETE, PUT, PUTS, decode, encode_rows

VALUES = st.one_of(st.none(), st.binary(max_size=3))


@st.composite
def rows(draw: st.DrawFn) -> list[Puts]:
    """Trees of rows, some of which were written beside those before them."""
    drawn: list[Puts] = []
    for _ in range(draw(st.integers(0, 4))):
        before = drawn[-1].values if drawn else []
        is_shared = draw(st.booleans())
        pairs = draw(st.lists(st.tuples(st.binary(max_size=2), VALUES), max_size=5))
        if is_shared and draw(st.booleans()):
            pairs = [(draw(st.binary(max_size=2)), it) for it in before]
            pairs = [(key, it if draw(st.booleans()) else b"other") for key, it in pairs]
        keys, values = [key for key, _ in pairs], [value for _, value in pairs]
        drawn.append(Puts(draw(st.integers(0, 0xFFFF)), keys, values, is_shared=is_shared))
    return drawn


def said(
    all_puts: Sequence[Puts | Run],
) -> list[tuple[int, list[bytes], list[bytes | None] | None]]:
    return [(it.tree_id, it.keys, it.values) for it in all_puts]


@given(rows())
def test_rows_are_read_as_they_were_written(written: list[Puts]) -> None:
    assert said(decode_puts(encode_puts(written))) == said(written)
    expected = [
        (DELETE if value is None else PUT, it.tree_id, key, value)
        for it in written
        for key, value in zip(it.keys, it.values, strict=True)
    ]
    assert decode(encode_rows(written)) == expected


@given(rows(), rows())
def test_a_layer_is_the_same_whether_it_takes_lists_or_records(
    first: list[Puts], then: list[Puts]
) -> None:
    at_once, one_by_one = Layer(), Layer()
    for written in (first, then):
        payload = encode_rows(written)
        at_once.carry_out(payload)
        one_by_one.apply(decode(payload))
    assert at_once.trees.keys() == one_by_one.trees.keys()
    assert at_once.size_bytes == one_by_one.size_bytes
    for tree_id, tree in at_once.trees.items():
        assert dict(tree.values.items()) == dict(one_by_one.trees[tree_id].values.items())
        assert tree.keys() == sorted(tree.values)


def head(size: int) -> bytes:
    return bytes([PUTS, 0, 0]) + bytes(4) + size.to_bytes(4, "big")


def test_the_bytes_are_those_of_the_table() -> None:
    """An array of runs: tree, keys, values; then values left out, all and some."""
    written = [
        Puts(3, [b"a", b"b"], [b"1", b"2"]),
        Puts(4, [b"c", b"d"], [b"1", b"2"], is_shared=True),
        Puts(0x105, [b"e", b"f"], [b"x", b"2"], is_shared=True),
        Puts(6, [b"g"], [None]),
    ]
    written[2].values[1] = written[1].values[1]
    body = (
        b"\x94"
        b"\x93\x03\x92\xc4\x01a\xc4\x01b\x92\xc4\x011\xc4\x012"
        b"\x93\x04\x92\xc4\x01c\xc4\x01d\xc0"
        b"\x94\xcd\x01\x05\x92\xc4\x01e\xc4\x01f\x92\xc4\x01x\xc0\xc3"
        b"\x93\x06\x91\xc4\x01g\x91\xc0"
    )
    assert encode_rows(written) == head(len(body)) + body
    assert said(decode_puts(body)) == said(written)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x90\x90", id="more than one array"),
        pytest.param(b"\x91\x92\x03\x90", id="no values"),
        pytest.param(b"\x91\x93\x03\x91\xc4\x01a\x90", id="too few values"),
        pytest.param(b"\x91\x93\x03\x90\x91\xc4\x01a", id="too many values"),
        pytest.param(b"\x91\x93\x03\x91\xc4\x01a\xc0", id="the same as nothing"),
        pytest.param(b"\x91\x94\x03\x91\xc4\x01a\x91\xc0\xc3", id="filled from nothing"),
        pytest.param(b"\x91\x95\x03\x90\x90\xc2\xc2", id="more than there is"),
        pytest.param(b"\x91\x93\xce\x00\x01\x00\x00\x90\x90", id="a tree beyond all trees"),
        pytest.param(b"\x91\x93\xff\x90\x90", id="a tree below all trees"),
        pytest.param(b"\x91\x93\x03\x91\x01\x91\xc0", id="a number for a key"),
        pytest.param(b"\x91\x93\x03\x91\xc0\x91\xc0", id="nothing for a key"),
        pytest.param(b"\x91\x93\x03\x91\xc4\x01a\x91\x07", id="a number for a value"),
        pytest.param(b"\xdd\xff\xff\xff\xff", id="runs that are not there"),
        pytest.param(b"\x91\x93\x03\xdd\xff\xff\xff\xff", id="keys that are not there"),
        pytest.param(b"\x91\x93\x03\x91\xc6\xff\xff\xff\xff", id="a key that is not there"),
    ],
)
def test_what_is_not_of_the_form_is_refused_and_nothing_of_it_is_carried_out(body: bytes) -> None:
    layer = Layer()
    for payload in (head(len(body)) + body, encode_rows([Puts(3, [b"k"], [b"v"])]) + head(99)):
        with pytest.raises(MalformedWriteSet):
            decode(payload)
        with pytest.raises(MalformedWriteSet):
            layer.carry_out(payload)
    assert not layer.trees
    assert layer.size_bytes == 0
