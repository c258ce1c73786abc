"""Layers: what one knows of its trees, and what becomes of two of them (D2)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.store.layer import ENTRY_BYTES, MISSING, Layer, TreeLayer
from roost.store.write_set import ANNOTATION, DELETE, DELETE_FROM, DELETE_RANGE, PUT
from roost.store.write_set import Write as Record
from tests.store.stacks import KEYS, OTHER, STOPS, TREE, WRITES, Rows, Write, in_range


def made_of(writes: list[Write]) -> Layer:
    layer = Layer()
    for write in writes:
        write.in_layer(layer)
    return layer


def known(layer: Layer) -> dict[bytes, object]:
    """What a layer says of every key that a test writes, and of one that none does."""
    keys = [b"", b"a", b"ab", b"b", b"b\0", b"c", b"d", b"zz"]
    return {key: layer.tree(TREE).get(key) for key in keys}


@pytest.mark.slow
@settings(max_examples=60)
@given(st.lists(WRITES, max_size=8), KEYS, STOPS, st.booleans())
def test_a_layer_knows_what_was_written_last_and_asks_below_for_the_rest(
    writes: list[Write],
    first: bytes,
    stop: bytes | None,
    reverse: bool,  # noqa: FBT001 - drawn
) -> None:
    # Two bottoms that agree on nothing: what is the same over both, the layer knows itself.
    bottoms: list[Rows] = [dict.fromkeys(known(Layer()), b"below"), {}]
    for rows in bottoms:
        for write in writes:
            write.in_rows(rows)
    layer = made_of(writes)
    for key, found in known(layer).items():
        over = {rows.get(key) for rows in bottoms}
        assert over == ({b"below", None} if found is MISSING else {found})
    tree = layer.tree(TREE)
    alive = {key: value for key, value in tree.values.items() if value is not None}
    items = list(tree.items(first, stop, reverse=reverse))
    assert [it for it in items if it[1] is not None] == in_range(
        alive, first, stop, reverse=reverse
    )
    assert [key for key, _ in items] == sorted({key for key, _ in items}, reverse=reverse)


@pytest.mark.slow
@settings(max_examples=60)
@given(st.lists(WRITES, max_size=5), st.lists(WRITES, max_size=5))
def test_a_layer_that_has_taken_over_a_newer_one_is_as_if_all_was_written_to_it(
    older: list[Write], newer: list[Write]
) -> None:
    covered, above, whole = made_of(older), made_of(newer), made_of([*older, *newer])
    size_bytes = covered.size_bytes + above.size_bytes
    covered.cover(above)
    assert known(covered) == known(whole)
    assert covered.tree(TREE).keys() == whole.tree(TREE).keys()
    assert covered.size_bytes == size_bytes


@given(st.lists(st.tuples(KEYS, STOPS), max_size=6), KEYS, STOPS, st.booleans())
def test_gaps_are_what_no_deleted_range_hides(
    ranges: list[tuple[bytes, bytes | None]],
    first: bytes,
    stop: bytes | None,
    reverse: bool,  # noqa: FBT001 - drawn
) -> None:
    tree = TreeLayer()
    for it in ranges:
        tree.hide(*it)

    def has(begin: bytes, end: bytes | None, key: bytes) -> bool:
        return begin <= key and (end is None or key < end)

    gaps = list(tree.gaps(first, stop, reverse=reverse))
    for key in known(Layer()):
        is_hidden = any(has(*it, key) for it in ranges)
        assert tree.hides(key) is is_hidden
        assert sum(has(*it, key) for it in gaps) == (has(first, stop, key) and not is_hidden)
    assert [begin for begin, _ in gaps] == sorted({it for it, _ in gaps}, reverse=reverse)
    in_order = zip(tree.ranges, tree.ranges[1:], strict=False)
    assert all(end is not None and end < begin for (_, end), (begin, _) in in_order)
    assert all(end is None or begin < end for begin, end in (*gaps, *tree.ranges))


def test_what_a_newer_layer_says_of_another_tree_is_taken_over_whole() -> None:
    below, above = Layer(), Layer()
    below.put(TREE, b"a", b"1")
    above.put(OTHER, b"a", b"2")
    above.delete_range(OTHER, b"b", None)
    below.cover(above)
    assert [below.tree(it).get(b"a") for it in (TREE, OTHER)] == [b"1", b"2"]
    assert [below.tree(it).get(b"c") for it in (TREE, OTHER)] == [MISSING, None]


def test_a_write_set_is_carried_out_in_its_order_and_annotations_are_for_others() -> None:
    records: list[Record] = [
        (PUT, TREE, b"a", b"1"),
        (PUT, TREE, b"b", b"1"),
        (DELETE_RANGE, TREE, b"a", b"b"),
        (ANNOTATION, TREE, b"", b"said"),
        (PUT, TREE, b"c", b"1"),
        (DELETE, TREE, b"c", None),
        (DELETE_FROM, OTHER, b"x", None),
        (PUT, OTHER, b"y", b"2"),
    ]
    layer = Layer()
    layer.apply(records)
    tree, other = layer.tree(TREE), layer.tree(OTHER)
    assert {key: tree.get(key) for key in (b"a", b"aa", b"b", b"c", b"d")} == {
        b"a": None,
        b"aa": None,
        b"b": b"1",
        b"c": None,
        b"d": MISSING,
    }
    assert [other.get(key) for key in (b"w", b"x", b"y", b"z")] == [MISSING, None, b"2", None]


def test_keys_are_in_order_whether_few_are_new_or_many() -> None:
    """Few are inserted, many are sorted in one go; each way meets what the other left."""
    tree = TreeLayer()
    expected: set[bytes] = set()
    numbers = iter([number * 7919 % 5000 for number in range(1, 1000)])
    for count in (1, 200, 1, 64, 65, 3, 300, 64):
        for _ in range(count):
            key = next(numbers).to_bytes(2, "big")
            tree.values[key] = b""
            tree.values[key] = b"again"
            expected.add(key)
        assert tree.keys() == sorted(expected)
        first, stop = (1000).to_bytes(2, "big"), (1500).to_bytes(2, "big")
        tree.delete_range(first, stop)
        expected -= {key for key in expected if first <= key < stop}
        assert tree.keys() == sorted(expected)
        assert set(tree.values) == expected


def test_a_range_that_ends_before_it_begins_is_none() -> None:
    layer = Layer()
    layer.put(TREE, b"b", b"1")
    for first, stop in ((b"c", b"a"), (b"b", b"b"), (b"b", b"")):
        layer.delete_range(TREE, first, stop)
    assert [layer.tree(TREE).get(key) for key in (b"a", b"b", b"c")] == [MISSING, b"1", MISSING]


def test_a_layer_says_about_how_much_memory_it_takes() -> None:
    layer = Layer()
    layer.put(TREE, b"key", b"value")
    assert layer.size_bytes == 3 + 5 + ENTRY_BYTES
    layer.put(TREE, b"key", None)
    layer.delete_range(TREE, b"first", None)
    assert layer.size_bytes == 3 + 5 + 3 + 5 + 3 * ENTRY_BYTES
    same = Layer()
    same.apply([(PUT, TREE, b"key", b"value"), (DELETE, TREE, b"key", None)])
    same.apply([(DELETE_FROM, TREE, b"first", None), (ANNOTATION, 1, b"", b"x" * 100)])
    assert same.size_bytes == layer.size_bytes
