"""Write sets, byte by byte: whatever is written is read back, and nothing else is taken.

The encoder here is written by hand from the table at the top of `write_set.py`, so that the two
cannot be wrong together.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.store import Changes, MalformedWriteSet
from roost.store.write_set import decode, encode_put

PUT, DELETE, DELETE_RANGE, DELETE_FROM, ANNOTATION = 1, 3, 4, 5, 6
PUTS = 9
BYTES = st.binary(max_size=9)
TREES = st.sampled_from([0, 1, 255, 256, 65535])


def record(kind: int, tree_id: int, key: bytes = b"", value: bytes = b"") -> bytes:
    head = bytes([kind]) + tree_id.to_bytes(2, "big")
    sizes = len(key).to_bytes(4, "big") + len(value).to_bytes(4, "big")
    return head + sizes + key + value


# What the records say, and the bytes that say it.
Told = tuple[tuple[int, int, bytes, bytes | None], bytes]
RECORDS = st.one_of(
    st.builds(lambda t, k, v: ((PUT, t, k, v), record(PUT, t, k, v)), TREES, BYTES, BYTES),
    st.builds(lambda t, k: ((DELETE, t, k, None), record(DELETE, t, k)), TREES, BYTES),
    st.builds(
        lambda t, k, v: ((DELETE_RANGE, t, k, v), record(DELETE_RANGE, t, k, v)),
        TREES, BYTES, BYTES,
    ),
    st.builds(lambda t, k: ((DELETE_FROM, t, k, None), record(DELETE_FROM, t, k)), TREES, BYTES),
    st.builds(lambda t, v: ((ANNOTATION, t, b"", v), record(ANNOTATION, t, b"", v)), TREES, BYTES),
)  # fmt: skip


def read(told: list[Told]) -> list[Any]:
    """What a dumb reader makes of it."""
    return [it for it, _ in told]


SETS = st.lists(RECORDS, max_size=8)


@given(SETS)
def test_a_write_set_says_what_was_written_in_its_order(told: list[Told]) -> None:
    assert decode(b"".join(data for _, data in told)) == read(told)


@given(SETS, st.data())
def test_a_write_set_that_is_cut_is_refused_unless_it_ends_with_a_record(
    told: list[Told], data: st.DataObject
) -> None:
    """A prefix taken for the whole would be half a transaction."""
    payload = b"".join(it for _, it in told)
    ends = [0]
    for _, it in told:
        ends.append(ends[-1] + len(it))
    cut = data.draw(st.integers(0, len(payload)))
    if cut in ends:
        assert decode(payload[:cut]) == read(told[: ends.index(cut)])
    else:
        with pytest.raises(MalformedWriteSet, match="ends early"):
            decode(payload[:cut])


@given(SETS)
def test_what_changed_is_told_by_tree_and_by_annotation(told: list[Told]) -> None:
    payload = b"".join(data for _, data in told)
    changes = Changes(payload)
    writes = read(told)
    assert changes.writes == writes
    assert changes.trees == {it[1] for it in writes if it[0] != ANNOTATION}
    assert changes.annotations == [(it[1], it[3]) for it in writes if it[0] == ANNOTATION]
    assert changes.payload == payload


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(record(2, 1, b"key"), id="a kind that there is not"),
        pytest.param(record(DELETE, 1, b"key", b"value"), id="a deletion with a value"),
        pytest.param(record(DELETE_FROM, 1, b"key", b"stop"), id="an end where there is none"),
        pytest.param(record(ANNOTATION, 1, b"key", b"data"), id="an annotation with a key"),
        pytest.param(record(PUTS, 1, b"", b"\x90"), id="rows of one tree"),
        pytest.param(record(PUTS, 0, b"k", b"\x90"), id="rows with a key"),
        pytest.param(record(PUTS, 0, b"", b""), id="rows of nothing"),
        pytest.param(record(0, 1), id="kind 0"),
        pytest.param(record(7, 1), id="kind 7"),
        pytest.param(record(255, 1, b"key", b"value"), id="kind 255"),
    ],
)
def test_what_no_transaction_writes_is_refused(payload: bytes) -> None:
    with pytest.raises(MalformedWriteSet):
        decode(payload)


def test_a_length_beyond_the_end_takes_no_memory() -> None:
    """The longest key there can be, of which not a byte is there."""
    head = bytes([PUT]) + (1).to_bytes(2, "big") + b"\xff" * 8
    with pytest.raises(MalformedWriteSet, match="ends early"):
        decode(head)


def test_nothing_was_written_by_nothing() -> None:
    changes = Changes(b"")
    assert (changes.writes, changes.trees, changes.annotations) == ([], frozenset(), [])


@given(TREES, BYTES, BYTES)
def test_a_put_can_be_put_behind_a_write_set(tree_id: int, key: bytes, value: bytes) -> None:
    before = record(DELETE, 1, b"old")
    writes = decode(before + encode_put(tree_id, key, value))
    assert writes == [(DELETE, 1, b"old", None), (PUT, tree_id, key, value)]


def test_trees_that_are_known_need_no_decoding() -> None:
    """The leader has made them already: decoding again cost 2.45 us a put (issue 13)."""
    changes = Changes(b"no write set at all", trees=frozenset([5]))
    assert changes.trees == {5}
    with pytest.raises(MalformedWriteSet):
        _ = changes.writes
