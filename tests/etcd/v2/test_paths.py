"""Paths, and where their nodes stand: what is below a directory is two ranges, in order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.etcd.v2.paths import (
    DEPTH_MAX,
    PATH_BYTES_MAX,
    ROOT,
    below_range,
    child_of,
    children_range,
    cleaned,
    is_below,
    is_hidden,
    is_too_long,
    key_of,
    parent_of,
    parents_of,
    path_of,
)

# Bytes that stand on both sides of what parts names and paths.
NAMES = st.lists(st.sampled_from(list(b"\0\x01\x02a.\xff0")), min_size=1, max_size=3).map(bytes)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(lambda it: b"/" + b"/".join(it))


@given(PATHS)
def test_a_key_says_its_path(path: bytes) -> None:
    assert path_of(key_of(path)) == path
    assert child_of(parent_of(path), path.rpartition(b"/")[2]) == path


@given(PATHS, PATHS | st.just(ROOT))
def test_children_and_what_is_below_them_are_two_ranges(path: bytes, directory: bytes) -> None:
    first, stop = children_range(directory)
    is_child = first <= key_of(path) < stop
    assert is_child == (parent_of(path) == directory)
    first, stop = below_range(directory)
    is_in_either = is_child or first <= key_of(path) < stop
    assert is_in_either == is_below(path, directory)


@given(st.lists(PATHS, min_size=2, max_size=8))
def test_children_stand_in_the_order_of_their_names(paths: list[bytes]) -> None:
    children = [child_of(b"/d", path[1:].replace(b"/", b"-")) for path in paths]
    assert sorted(children, key=key_of) == sorted(children)


@pytest.mark.parametrize(
    ("path", "short"),
    [
        (b"", b"/"),
        (b"/", b"/"),
        (b"//", b"/"),
        (b"a", b"/a"),
        (b"/a/", b"/a"),
        (b"/a//b/./c", b"/a/b/c"),
        (b"/a/../b", b"/b"),
        (b"/../..", b"/"),
    ],
)
def test_a_path_has_one_shortest_form(path: bytes, short: bytes) -> None:
    assert cleaned(path) == short


def test_parents_are_named_from_the_outermost() -> None:
    assert parents_of(b"/a/b/c") == [b"/a", b"/a/b"]
    assert parents_of(b"/a") == []
    assert parent_of(b"/a") == ROOT


def test_hidden_is_what_begins_with_an_underscore_on_the_way() -> None:
    assert is_hidden(ROOT, b"/_a")
    assert is_hidden(b"/a", b"/a/_b/c")
    assert not is_hidden(b"/_a", b"/_a/b")
    assert not is_hidden(b"/a", b"/a/b_")


def test_a_path_has_a_bound() -> None:
    assert not is_too_long(b"/" + b"a" * (PATH_BYTES_MAX - 1))
    assert is_too_long(b"/" + b"a" * PATH_BYTES_MAX)
    assert not is_too_long(b"/a" * DEPTH_MAX)
    assert is_too_long(b"/a" * (DEPTH_MAX + 1))
