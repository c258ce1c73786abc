"""Pages that rows fill, beside those that LMDB takes for them."""

from pathlib import Path

import lmdb
from hypothesis import given
from hypothesis import strategies as st

from roost.store.base import seal
from roost.store.pages import Pages

ROWS = st.dictionaries(
    st.binary(min_size=1, max_size=40), st.integers(0, 9000), min_size=1, max_size=200
)


def taken(path: Path, rows: dict[bytes, int]) -> int:
    """What LMDB takes for records that come in order, but for pages that lead to others."""
    with (
        lmdb.open(str(path), map_size=1 << 26, sync=False, lock=False) as env,
        env.begin(write=True) as txn,
    ):
        txn.drop(env.open_db(None, txn), delete=False)
        for key in sorted(rows):
            name = b"\0\7" + key
            txn.put(name, seal(name, bytes(rows[key])), append=True)
        stat = txn.stat(env.open_db(None, txn))
    pages: int = stat["leaf_pages"] + stat["overflow_pages"]
    return pages


def test_they_are_as_many_as_lmdb_fills(tmp_path: Path) -> None:

    @given(ROWS)
    def examples(rows: dict[bytes, int]) -> None:
        pages = Pages()
        for key in sorted(rows):
            pages.add(len(key), rows[key])
        assert pages.count == taken(tmp_path, rows)

    examples()


def test_a_tree_without_rows_has_none() -> None:
    assert Pages().count == 0
