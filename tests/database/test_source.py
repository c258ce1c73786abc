"""Ranges of trees in parts: what is read is what is there, and no part is long whatever it has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.database import derived_rows
from roost.database.source import LiveSource, Parts
from roost.store.layer import Layer
from roost.store.view import View
from roost.store.walk import BYTES_MAX, PASSED_MAX
from tests.steps import steps_of
from tests.store.stacks import TREE, DictBase, Rows

MANY = 8 * PASSED_MAX


async def ready() -> None:
    """Nothing has to be waited for."""


def source_of(rows: Rows, gone: Rows | None = None) -> LiveSource:
    """Rows, of which some were deleted above."""
    layer = Layer()
    for key in gone or {}:
        layer.put(TREE, key, None)
    layer.put_in_order()
    return LiveSource(View([layer], DictBase(rows)), ready, lambda: None)


def parts_of(parts: Parts, count_max: int = 256) -> list[list[tuple[bytes, bytes]]]:
    found = []
    while not parts.is_done:
        found.append(parts.take(count_max))
    return found


@pytest.mark.parametrize("reverse", [False, True])
def test_a_part_of_large_rows_has_few(*, reverse: bool) -> None:
    """Issue 14: a page had 256 rows of any size, of two gigabytes in one step."""
    rows = {b"%03d" % it: bytes(100_000) for it in range(20)}
    parts = parts_of(source_of(rows).parts(TREE, b"", None, reverse=reverse))
    assert max(sum(len(value) for _, value in part) for part in parts) < BYTES_MAX + 100_000
    assert [row for part in parts for row in part] == sorted(rows.items(), reverse=reverse)


@pytest.mark.parametrize("reverse", [False, True])
def test_what_was_deleted_is_passed_over_parts(*, reverse: bool) -> None:
    """Issue 14: a page that passed a million rows that were gone was one step."""
    rows = {b"%06d" % it: b"v" for it in range(MANY)}
    kept = rows.pop(b"%06d" % (0 if reverse else MANY - 1))
    gone, rows[b"%06d" % (0 if reverse else MANY - 1)] = dict(rows), kept
    for keys_only in (False, True):
        parts = source_of(rows, gone).parts(TREE, b"", None, reverse=reverse, keys_only=keys_only)
        steps, found = list[int](), list[tuple[bytes, bytes]]()
        while not parts.is_done:
            steps.append(steps_of(lambda: found.extend(parts.take(1000))))  # noqa: B023 - at once
        assert len(steps) >= MANY // PASSED_MAX
        assert max(steps) < 25 * PASSED_MAX
        assert len(found) == 1


def test_a_tree_that_was_never_written_has_no_parts() -> None:
    parts = source_of({}).parts(None, b"", None)
    assert (parts.is_done, parts.take(1)) == (True, [])


def test_who_ends_meanwhile_is_told_with_the_next_part() -> None:
    source = source_of({b"a": b"1"})
    parts = source.parts(TREE, b"", None)

    def ended() -> None:
        raise LookupError

    source._check = ended
    with pytest.raises(LookupError):
        source.parts(TREE, b"", None)
    parts._check = ended  # type: ignore[attr-defined]  # of ours
    with pytest.raises(LookupError):
        parts.take(1)


NAMES = [
    derived_rows.row_name(key, by) for key in (b"a", b"a\0", b"b") for by in (b"1", b"2", b"3")
]


@given(
    st.lists(st.sampled_from(NAMES), unique=True),
    st.lists(st.sampled_from(NAMES), unique=True),
    st.integers(1, 3),
)
def test_keys_of_a_derived_tree_are_shown_once_whatever_lies_under_them(
    names: list[bytes], gone: list[bytes], count_max: int
) -> None:
    rows = {name: b"by " + name[-1:] for name in names}
    layer = Layer()
    for name in gone:
        layer.put(TREE, name, None)
    view = View([layer], DictBase(rows))
    left = sorted(it for it in names if it not in gone)
    wanted: dict[bytes, bytes] = {}
    for name in left:
        key = name[: name.index(b"\0\0")].replace(b"\0\xff", b"\0")
        wanted.setdefault(key, rows[name])
    for reverse in (False, True):
        parts = derived_rows.Parts(view, TREE, b"", None, reverse=reverse)
        found = [row for part in parts_of(parts, count_max) for row in part]
        assert found == sorted(wanted.items(), reverse=reverse)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_part_of_a_derived_tree_is_short_whatever_was_deleted(*, reverse: bool) -> None:
    rows = {derived_rows.row_name(b"k", b"%06d" % it): b"v" for it in range(MANY)}
    layer = Layer()
    for name in sorted(rows)[1:-1]:
        layer.put(TREE, name, None)
    layer.put_in_order()
    parts = derived_rows.Parts(View([layer], DictBase(rows)), TREE, b"", None, reverse=reverse)
    steps, found = list[int](), list[tuple[bytes, bytes]]()
    while not parts.is_done:
        steps.append(steps_of(lambda: found.extend(parts.take(256))))
    assert found == [(b"k", b"v")]
    assert max(steps) < 25 * PASSED_MAX
