"""Trees and rows of a member that runs, page by page; whole files are `cli/test_trees`'s."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import roost
from roost.database.catalogue import (
    GONE_MAX,
    PAGE_BYTES_MAX,
    ROWS_MAX,
    SHOWN_BYTES_MAX,
    names_from,
    page_from,
)
from roost.member import open_store_file
from roost.member.directory.home import Home
from roost.raft import Entry, EntryKind, HardState
from roost.store import Txn, UnknownTree, View
from tests.member.directory.homes import close, open_at


@pytest.fixture
def database(tmp_path: Path) -> roost.Database:
    return roost.open(tmp_path / "data")


@contextmanager
def view_of(db: roost.Database, tmp_path: Path) -> Iterator[View]:
    """What is in its file, once it is closed."""
    db.close()
    with open_store_file(tmp_path / "data") as file:
        yield file.view


def all_rows(view: View, name: str, limit: int = ROWS_MAX) -> list[list[tuple[str, str]]]:
    """Page after page."""
    pages, first = [], b""
    while True:
        page = page_from(view, name, first, limit)
        pages.append([(it.key, it.value) for it in page.rows])
        if page.rest is None:
            return pages
        assert page.rest > first or not first
        first = page.rest


def test_names_come_in_pages_with_what_trees_are_said_to_hold(
    database: roost.Database, tmp_path: Path
) -> None:
    for name in ("b", "a", "c"):
        database.tree(name, key=str, value=int)["x"] = 1
    database.describe("b", "two\nlines")
    with view_of(database, tmp_path) as view:
        found = names_from(view, "", 1000)
        names = [it.name for it in found]
        assert names == sorted(names)
        assert {"$metadata", "a", "b", "c"} <= set(names)
        [row] = [it for it in found if it.name == "b"]
        assert (row.keys, row.values, row.purpose) == ("str", "msgpack int", "two\\nlines")
        assert [it.name for it in names_from(view, "a", 1)] == ["b"]
        assert [it.name for it in names_from(view, "b", 10)] == ["c"]
        assert names_from(view, "c", 10) == []
        assert names_from(view, "\u00fc\ud800", 10) == []


def test_every_row_is_on_one_page(database: roost.Database, tmp_path: Path) -> None:
    database.tree("many", key=int, value=int).update({it: it for it in range(250)})
    with view_of(database, tmp_path) as view:
        pages = all_rows(view, "many")
        assert [len(it) for it in pages] == [ROWS_MAX, ROWS_MAX, 50]
        assert [it for page in pages for it in page] == [(str(it), str(it)) for it in range(250)]
        assert [len(it) for it in all_rows(view, "many", 99)] == [99, 99, 52]
        with pytest.raises(UnknownTree, match="no tree 'none'"):
            page_from(view, "none", b"", 1)


def test_a_page_has_a_bound_in_bytes_and_says_how_long_a_row_is(
    database: roost.Database, tmp_path: Path
) -> None:
    large = database.tree("large", key=str)
    for it in "abcd":
        large[it] = bytes(PAGE_BYTES_MAX // 2)
    database.tree("long", key=str, value=str)["k" * 3000] = "v" * 5000
    with view_of(database, tmp_path) as view:
        assert [len(it) for it in all_rows(view, "large")] == [2, 2]
        [row] = page_from(view, "long", b"", 1).rows
        assert row.key == "k" * SHOWN_BYTES_MAX
        assert len(row.value) <= 2 + 2 * SHOWN_BYTES_MAX
        assert (row.key_bytes, row.value_bytes) == (3000, 5003)


def test_a_page_ends_when_it_has_passed_much_that_is_gone(tmp_path: Path) -> None:
    """A step is bounded by what it looks at, and not by what it finds (D14)."""
    home = open_at(tmp_path, "home")
    try:
        tree = home.store.tree("things").id
        txn = home.store.begin()
        for it in range(GONE_MAX + 10):
            txn.put(tree, b"%05d" % it, b"")
        apply(home, txn)
        home.store.flush()
        txn = home.store.begin()
        for it in range(GONE_MAX + 9):
            txn.delete(tree, b"%05d" % it)
        apply(home, txn)
        page = page_from(home.store.view, "things", b"", ROWS_MAX)
        assert (page.rows, page.rest) == ([], b"%05d" % GONE_MAX)
        pages = all_rows(home.store.view, "things")
        assert pages == [[], [(f"{GONE_MAX + 9:05}", "")]]
    finally:
        close(home)


def apply(home: Home, txn: Txn) -> None:
    index, payload = home.store.applied_index + 1, txn.encode()
    home.journal.persist(HardState(term=2), [Entry(index, 2, EntryKind.NORMAL, payload)])
    home.store.apply(index, payload, 2)
