"""Views: what is seen through layers and the base is what one dictionary would hold (D2)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.store.layer import Layer
from roost.store.view import View
from tests.store.stacks import (
    KEYS,
    OTHER,
    STOPS,
    TREE,
    WRITES,
    DictBase,
    Rows,
    Write,
    in_range,
    stacked,
)


@pytest.mark.slow
@settings(max_examples=120)
@given(
    st.dictionaries(KEYS, st.just(b"base"), max_size=5),
    st.lists(st.lists(WRITES, max_size=4), max_size=4),
    KEYS,
    STOPS,
    st.booleans(),
    st.one_of(st.none(), st.integers(-1, 4)),
)
def test_a_stack_of_layers_reads_as_all_that_was_written_from_the_bottom_up(
    base: Rows,
    stack: list[list[Write]],
    first: bytes,
    stop: bytes | None,
    reverse: bool,  # noqa: FBT001 - drawn
    limit: int | None,
) -> None:
    rows, layers = stacked(base, stack)
    view = View(layers, DictBase(base))
    for key in (b"", b"a", b"ab", b"b", b"b\0", b"c", b"d", b"zz"):
        assert view.get(TREE, key) == rows.get(key)
        assert view.has(TREE, key) is (key in rows)
    expected = in_range(rows, first, stop, reverse=reverse)
    assert list(view.iterate(TREE, first, stop, reverse=reverse)) == expected
    assert view.count(TREE, first, stop) == len(expected)
    wanted = expected if limit is None else expected[: max(limit, 0)]
    assert view.scan(TREE, first, stop, reverse=reverse, limit=limit) == wanted
    assert view.scan(OTHER) == []


@pytest.mark.parametrize("is_above", [True, False])
def test_a_range_hides_what_is_below_its_layer_and_nothing_above_or_in_it(
    *, is_above: bool
) -> None:
    ranged, plain = Layer(), Layer()
    ranged.delete_range(TREE, b"b", b"d")
    ranged.put(TREE, b"c", b"in it")
    plain.put(TREE, b"bb", b"the other layer's")
    layers = [ranged, plain] if is_above else [plain, ranged]
    view = View(layers, DictBase({b"a": b"0", b"b": b"0", b"c": b"0", b"d": b"0"}))
    others = [] if is_above else [(b"bb", b"the other layer's")]
    assert view.scan(TREE) == [(b"a", b"0"), *others, (b"c", b"in it"), (b"d", b"0")]


def test_an_empty_value_is_a_value() -> None:
    layer = Layer()
    layer.put(TREE, b"a", b"")
    view = View([layer], DictBase({b"b": b""}))
    assert [(view.get(TREE, key), view.has(TREE, key)) for key in (b"a", b"b", b"c")] == [
        (b"", True),
        (b"", True),
        (None, False),
    ]
    assert view.scan(TREE) == [(b"a", b""), (b"b", b"")]


def test_no_more_is_read_of_the_base_than_is_asked_for() -> None:
    base = DictBase({number.to_bytes(2, "big"): b"" for number in range(1000)})
    layer = Layer()
    layer.put(TREE, b"\0\5", None)
    assert len(View([layer], base).scan(TREE, limit=10)) == 10
    assert base.read_count <= 13
