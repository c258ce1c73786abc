"""Walks: what is read in parts is what is there, and no part is long whatever it passes (D14)."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.store import base_reader
from roost.store import view as view_module
from roost.store import walk as walk_module
from roost.store.base import open_sealed
from roost.store.base_writer import BaseWriter
from roost.store.layer import Layer
from roost.store.long_keys import Cut
from roost.store.view import GAPS_A_PART, View
from roost.store.walk import PASSED_MAX, Walk
from tests.steps import steps_of
from tests.store.stacks import KEYS, STOPS, TREE, WRITES, DictBase, Rows, Write, in_range, stacked

MANY = 10 * PASSED_MAX


class CountingBase(DictBase):
    """Counts how often it was asked for a range."""

    asked = 0

    def parts(self, *args: Any, **named: Any) -> Iterator[tuple[bytes, bytes | Cut]]:
        self.asked += 1
        return super().parts(*args, **named)


@pytest.mark.slow
@settings(max_examples=120)
@given(
    st.dictionaries(KEYS, st.just(b"base"), max_size=5),
    st.lists(st.lists(WRITES, max_size=6), max_size=4),
    KEYS,
    STOPS,
    st.booleans(),
    st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 3), st.integers(1, 3)),
)
def test_parts_are_the_whole(
    base: Rows,
    stack: list[list[Write]],
    first: bytes,
    stop: bytes | None,
    reverse: bool,  # noqa: FBT001 - drawn
    bounds: tuple[int, int, int, int],
) -> None:
    count_max, bytes_max, passed_max, gaps_max = bounds
    rows, layers = stacked(base, stack)
    walk = Walk(View(layers, DictBase(base)), TREE, first, stop, reverse=reverse)
    found: list[tuple[bytes, bytes]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walk_module, "PASSED_MAX", passed_max)
        patch.setattr(view_module, "GAPS_A_PART", gaps_max)
        while not walk.is_done:
            part = walk.take(count_max, bytes_max)
            assert len(part) <= count_max
            assert sum(len(value) for _, value in part[:-1]) < bytes_max
            found += part
    assert found == in_range(rows, first, stop, reverse=reverse)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_part_passes_so_many_deleted_keys_and_no_more(*, reverse: bool) -> None:
    """Issue 14: who read what had just been deleted passed all of it in one step."""
    rows = {b"%08d" % number: b"v" for number in range(MANY)}
    living = min(rows) if reverse else max(rows)
    layer = Layer()
    for key in rows:
        layer.put(TREE, key, None)
    layer.put(TREE, living, b"alive")
    layer.put_in_order()
    walk = Walk(View([layer], DictBase(rows)), TREE, b"", None, reverse=reverse)
    parts: list[list[tuple[bytes, bytes]]] = []
    steps: list[int] = []
    while not walk.is_done:
        steps.append(steps_of(lambda: parts.append(walk.take(256))))
    assert len(parts) >= MANY // PASSED_MAX
    assert max(steps) < 24 * PASSED_MAX
    assert [row for part in parts for row in part] == [(living, b"alive")]


@pytest.mark.parametrize("reverse", [False, True])
def test_what_lies_in_a_deleted_range_is_not_looked_at(*, reverse: bool) -> None:
    base = DictBase({b"%08d" % number: b"v" for number in range(MANY)})
    below, above = Layer(), Layer()
    for number in range(0, MANY, 10):
        below.put(TREE, b"%08d" % number, b"w")
    above.delete_range(TREE, b"%08d" % 3, b"%08d" % (MANY - 3))
    above.put(TREE, b"%08d" % 100, b"alive")
    below.put_in_order()
    walk = Walk(View([above, below], base), TREE, b"", None, reverse=reverse)
    found: list[tuple[bytes, bytes]] = []
    assert steps_of(lambda: found.extend(walk.take(256))) < 1000
    assert walk.is_done
    assert base.read_count == 6
    assert [key for key, _ in sorted(found)] == [
        b"%08d" % it for it in (0, 1, 2, 100, MANY - 3, MANY - 2, MANY - 1)
    ]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("key_bytes", [8, 2000, 100_000])
def test_between_deleted_ranges_a_part_goes_through_so_many_gaps(
    key_bytes: int, *, reverse: bool
) -> None:
    """Issue 14: nothing of a range was left but gaps, and all of those were one step."""
    count = 1000 if key_bytes == 8 else 100
    keys = [b"%08d" % number + b"k" * (key_bytes - 8) for number in range(count)]
    layers = [Layer(), Layer()]
    for number, key in enumerate(keys):
        layers[number % 2].delete_range(TREE, key, key + b"\0")
    base = CountingBase({keys[0] + b"first": b"1", keys[-1] + b"last": b"2"})
    walk = Walk(View(layers, base), TREE, b"", None, reverse=reverse)
    found: list[tuple[bytes, bytes]] = []
    parts = 0
    while not walk.is_done:
        base.asked = 0
        found += walk.take(256)
        parts += 1
        # Both layers may have a gap on the way to what lies below.
        assert base.asked <= (GAPS_A_PART if key_bytes < 100_000 else 2)
        assert parts < 4 * count, "each part gets further"
    assert sorted(found) == sorted(base.rows.items())
    assert parts >= count // GAPS_A_PART


def test_values_that_are_not_read_do_not_end_a_part() -> None:
    layer = Layer()
    for number in range(100):
        layer.put(TREE, b"%03d" % number, b"v" * 1000)
    view = View([layer], DictBase({}))
    assert len(Walk(view, TREE, b"", None).take(256, 5000)) == 5
    assert len(Walk(view, TREE, b"", None, keys_only=True).take(256, 5000)) == 100


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("above", [None, b"little"])
def test_what_lies_below_something_else_is_not_read(above: bytes | None, *, reverse: bool) -> None:
    """Issue 14: little was written over much, and a part read all of that, which nobody asked for.

    Where it had to come from the disk, the loop was held for a second.
    """
    directory = Path(tempfile.mkdtemp())
    writer = BaseWriter(directory, is_synced=False)
    much, layer = Layer(), Layer()
    for number in range(8):
        much.put(TREE, b"%d" % number, b"v" * 50_000)
        layer.put(TREE, b"%d" % number, above)
    much.put(TREE, b"5x", b"seen")
    writer.commit(much, 1, 1)
    read: list[bytes] = []

    def noting(name: bytes, sealed: bytes) -> bytes:
        read.append(name[2:])
        return open_sealed(name, sealed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base_reader, "open_sealed", noting)
        walk = Walk(View([layer], writer.reader()), TREE, b"", None, reverse=reverse)
        rows = walk.take(256)
    assert walk.is_done
    wanted = [] if above is None else [(b"%d" % it, above) for it in range(8)]
    assert sorted(rows) == sorted([*wanted, (b"5x", b"seen")])
    assert read == [b"5x"]
    writer.close()
    rmtree(directory)


@pytest.mark.parametrize("value", [b"v", None])
def test_long_keys_end_a_part_as_long_values_do(value: bytes | None) -> None:
    """Issue 14: a thousand keys of a megabyte were one step, of a gigabyte."""
    base, layer = {}, Layer()
    for number in range(20):
        key = b"%02d" % number + b"k" * 1000
        base[key] = b"old"
        layer.put(TREE, key, value)
    walk = Walk(View([layer], DictBase(base)), TREE, b"", None, keys_only=True)
    parts = []
    while not walk.is_done:
        parts.append(walk.take(256, 4000))
    assert len(parts) >= 5
    assert all(len(part) <= 4 for part in parts)
    assert len([row for part in parts for row in part]) == (0 if value is None else 20)


def test_a_part_says_what_it_has_cost() -> None:
    base, layer = {b"%04d" % it: b"v" * 100_000 for it in range(20)}, Layer()
    walk = Walk(View([layer], DictBase(base)), TREE, b"", None)
    assert len(walk.take(2)) == 2
    assert walk.cost == 1 + 2 + (200_008 >> 13)
    walk = Walk(View([layer], DictBase(base)), TREE, b"", None, keys_only=True)
    assert len(walk.take(256)) == 20
    assert walk.cost == 1 + 20
    for key in base:
        layer.put(TREE, key, None)
    walk = Walk(View([layer], DictBase(base)), TREE, b"", None)
    assert walk.take(256) == []
    assert walk.cost == 1 + 10
